// Package secrets encrypts what must not lie anywhere in clear: Twilio's tokens and what is spooled, in the database, and the payloads of
// Temporal's histories.
//
// It is Tink's AEAD with keysets that the operator holds. Each value is bound to the place it is stored at, so that a row copied to another
// account does not decrypt.
package secrets

import (
	"os"
	"strings"
	"sync"
	"time"

	"parley/internal/domain"
)

// A keyset's file is read again where it has changed: so a key that was added or made primary needs no restart.
const (
	lookEvery = 10 * time.Second // while everything is as it should be
	seekEvery = time.Second      // for a key that the keyset does not have: anybody may write a ciphertext that names one
)

// Cipher encrypts and decrypts with one keyset. It is safe for concurrent use.
type Cipher struct {
	variable string // names the keyset in errors
	file     string // empty where the keyset was given itself

	mu     sync.Mutex
	text   string
	keys   *keys
	looked time.Time
}

// Source says where a keyset is: the keyset itself, or else the file that holds it. Variable names it in errors.
type Source struct{ Variable, Text, File string }

// Load reads a keyset. It returns KindConfiguration where it is not usable; the error never repeats it.
func Load(from Source) (*Cipher, error) {
	text, err := from.Read()
	if err != nil {
		return nil, err
	}
	keys, err := parse(text)
	if err != nil {
		return nil, domain.Errorf(domain.KindConfiguration, "%s: %w", from.Variable, err)
	}
	c := &Cipher{variable: from.Variable, text: text, keys: keys, looked: time.Now()}
	if from.Text == "" {
		c.file = from.File
	}
	return c, nil
}

// Read returns the keyset as text.
func (s Source) Read() (string, error) {
	if s.Text != "" {
		return s.Text, nil
	}
	content, err := os.ReadFile(s.File)
	if err != nil {
		return "", domain.Errorf(domain.KindConfiguration, "%s_FILE: %w", s.Variable, err)
	}
	return strings.TrimSpace(string(content)), nil
}

// current returns the keyset as it is now: the file is read again at most so often. One that cannot be used changes nothing here: the keyset
// in hand still decrypts all that it did, and a start would tell.
func (c *Cipher) current(atMost time.Duration) *keys {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file == "" || time.Since(c.looked) < atMost {
		return c.keys
	}
	c.looked = time.Now()
	text, err := Source{Variable: c.variable, File: c.file}.Read()
	if err != nil || text == c.text {
		return c.keys
	}
	if keys, err := parse(text); err == nil {
		c.text, c.keys = text, keys
	}
	return c.keys
}

// keysFor returns the keyset, read again where it does not have the key of a ciphertext.
func (c *Cipher) keysFor(ciphertext []byte) *keys {
	keys := c.current(lookEvery)
	if !keys.have(ciphertext) {
		keys = c.current(seekEvery)
	}
	return keys
}

// Encrypt returns the ciphertext of a value that is stored at a place.
func (c *Cipher) Encrypt(plain []byte, place string) ([]byte, error) {
	ciphertext, err := c.current(lookEvery).aead.Encrypt(plain, []byte(place))
	if err != nil {
		return nil, domain.Errorf(domain.KindInternal, "encrypt: %w", err)
	}
	return ciphertext, nil
}

// Decrypt returns the value that is stored at a place. It returns KindConfiguration where the keyset has no key for it, and where the
// ciphertext was altered or stored somewhere else.
func (c *Cipher) Decrypt(ciphertext []byte, place string) ([]byte, error) {
	keys := c.keysFor(ciphertext)
	if !keys.have(ciphertext) {
		return nil, domain.Errorf(domain.KindConfiguration, "a stored value is encrypted with a key that %s does not have", c.variable)
	}
	plain, err := keys.aead.Decrypt(ciphertext, []byte(place))
	if err != nil {
		return nil, domain.Errorf(domain.KindConfiguration, "a stored value does not decrypt: it was altered, or copied from where it was stored")
	}
	return plain, nil
}

// Has reports whether the keyset has the key that a ciphertext was made with.
func (c *Cipher) Has(ciphertext []byte) bool { return c.keysFor(ciphertext).have(ciphertext) }

// Primary reports whether a ciphertext was made with the key that values are encrypted with now.
func (c *Cipher) Primary(ciphertext []byte) bool {
	id, ok := keyOf(ciphertext)
	return ok && id == c.current(lookEvery).primary
}
