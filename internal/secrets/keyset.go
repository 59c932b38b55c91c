package secrets

import (
	"bytes"
	"encoding/binary"
	"encoding/json"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"parley/internal/domain"
)

// A keyset has one primary key, which encrypts, and others, which still decrypt. Its newest key stands last. A key takes the place of
// another in three steps, each of which changes nothing where it is run again:
//
//	AddKey        the new key decrypts: every process is given the keyset before anything is encrypted with it
//	Promote       the new key encrypts
//	DropOlderKeys once nothing is encrypted with them any more

// Generate returns a new keyset with one AES-256-GCM key, as one line of JSON. Whoever has it can read all that it encrypted.
func Generate() (string, error) {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return "", domain.Errorf(domain.KindInternal, "keyset: %w", err)
	}
	return write(handle)
}

// AddKey returns a keyset with one more key, which is not primary, and reports whether it did: a keyset whose newest key is not primary is
// left as it is.
func AddKey(text string) (string, bool, error) {
	handle, err := read(text)
	if err != nil || !newest(handle).IsPrimary() {
		return text, false, err
	}
	return edit(handle, func(m *keyset.Manager) error {
		_, err := m.Add(aead.AES256GCMKeyTemplate())
		return err
	})
}

// Promote returns a keyset whose newest key is primary, and reports whether it was not before.
func Promote(text string) (string, bool, error) {
	handle, err := read(text)
	if err != nil || newest(handle).IsPrimary() {
		return text, false, err
	}
	return edit(handle, func(m *keyset.Manager) error { return m.SetPrimary(newest(handle).KeyID()) })
}

// DropOlderKeys returns a keyset with nothing but its primary key, and reports whether there were others. It returns KindConflict where
// the newest key is not primary yet.
func DropOlderKeys(text string) (string, bool, error) {
	handle, err := read(text)
	if err != nil || handle.Len() == 1 {
		return text, false, err
	}
	if !newest(handle).IsPrimary() {
		return text, false, domain.Errorf(domain.KindConflict, "the newest key is not primary yet: promote it first")
	}
	return edit(handle, func(m *keyset.Manager) error {
		for i := range handle.Len() - 1 {
			entry, err := handle.Entry(i)
			if err == nil {
				err = m.Delete(entry.KeyID())
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Key is one key of a keyset: what may be known of it.
type Key struct {
	KeyID   uint32 `json:"key_id"`
	Primary bool   `json:"primary"`
}

// Keys returns the keys of a keyset, the newest last.
func Keys(text string) (list []Key, err error) {
	handle, err := read(text)
	if err != nil {
		return nil, err
	}
	for i := range handle.Len() {
		if entry, err := handle.Entry(i); err == nil {
			list = append(list, Key{entry.KeyID(), entry.IsPrimary()})
		}
	}
	return list, nil
}

// newest returns the last key of a keyset, which has at least one.
func newest(handle *keyset.Handle) *keyset.Entry {
	entry, err := handle.Entry(handle.Len() - 1)
	if err != nil {
		return &keyset.Entry{} // there is one: the keyset was read
	}
	return entry
}

func edit(handle *keyset.Handle, change func(*keyset.Manager) error) (string, bool, error) {
	manager := keyset.NewManagerFromHandle(handle)
	err := change(manager)
	if err == nil {
		handle, err = manager.Handle()
	}
	if err != nil {
		return "", false, domain.Errorf(domain.KindInternal, "keyset: %w", err)
	}
	text, err := write(handle)
	return text, err == nil, err
}

func write(handle *keyset.Handle) (string, error) {
	var text, line bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&text)); err != nil {
		return "", domain.Errorf(domain.KindInternal, "keyset: %w", err)
	}
	if err := json.Compact(&line, text.Bytes()); err != nil {
		return "", domain.Errorf(domain.KindInternal, "keyset: %w", err)
	}
	return line.String(), nil
}

func read(text string) (*keyset.Handle, error) {
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewBufferString(text)))
	if err != nil { // its text may repeat what it could not read
		return nil, domain.Errorf(domain.KindConfiguration, "this is not a keyset that 'starter secrets keygen' printed")
	}
	return handle, nil
}

// keys is a keyset, ready for use.
type keys struct {
	aead    tink.AEAD
	ids     map[uint32]bool
	primary uint32
}

func parse(text string) (*keys, error) {
	handle, err := read(text)
	if err != nil {
		return nil, err
	}
	primitive, err := aead.New(handle)
	if err != nil {
		return nil, domain.Errorf(domain.KindConfiguration, "the keyset is not for encryption (AEAD)")
	}
	k := &keys{aead: primitive, ids: map[uint32]bool{}}
	for i := range handle.Len() {
		if entry, err := handle.Entry(i); err == nil && entry.KeyStatus() == keyset.Enabled {
			k.ids[entry.KeyID()] = true
			if entry.IsPrimary() {
				k.primary = entry.KeyID()
			}
		}
	}
	return k, nil
}

func (k *keys) have(ciphertext []byte) bool {
	id, ok := keyOf(ciphertext)
	return ok && k.ids[id]
}

// keyOf returns the id of the key that made a ciphertext: Tink writes it in front, after a byte of 1.
// https://developers.google.com/tink/wire-format
func keyOf(ciphertext []byte) (id uint32, ok bool) {
	if len(ciphertext) < 5 || ciphertext[0] != 1 {
		return 0, false
	}
	return binary.BigEndian.Uint32(ciphertext[1:5]), true
}
