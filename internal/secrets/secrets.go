// Package secrets encrypts what must not lie anywhere in clear: Twilio's tokens and what is spooled, in the database, and the payloads of
// Temporal's histories.
//
// It is Tink's AEAD with keysets that the operator holds. Each value is bound to the place it is stored at, so that a row copied to another
// account does not decrypt.
package secrets

import (
	"os"
	"sync"
	"time"

	"parley/internal/domain"
)

// LookEvery is how often a keyset's file is read again: so a key that was added or made primary needs no restart, and the one that was primary
// before encrypts for no longer than this. For a key that the keyset does not have the file is read at once, which costs less than whatever
// brought the ciphertext here.
const LookEvery = 10 * time.Second

// Cipher encrypts and decrypts with one keyset. It is safe for concurrent use.
type Cipher struct {
	variable string // names the keyset in errors
	file     string // empty where the keyset was given itself

	mu     sync.Mutex
	text   string
	keys   *keys
	looked time.Time
}

// Load reads a keyset: the text itself, or else the file that holds it. The variable names it in errors, which never repeat it. It
// returns KindConfiguration where it is not usable.
func Load(variable, text, file string) (*Cipher, error) {
	c := &Cipher{variable: variable, text: text, looked: time.Now()}
	if text == "" {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, domain.Errorf(domain.KindConfiguration, "%s_FILE: %w", variable, err)
		}
		c.file, c.text = file, string(content)
	}
	var err error
	if c.keys, err = parse(c.text); err != nil {
		return nil, domain.Errorf(domain.KindConfiguration, "%s: %w", variable, err)
	}
	return c, nil
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
	content, err := os.ReadFile(c.file)
	if err != nil || string(content) == c.text {
		return c.keys
	}
	if keys, err := parse(string(content)); err == nil {
		c.text, c.keys = string(content), keys
	}
	return c.keys
}

// keysFor returns the keyset, read again where it does not have the key of a ciphertext.
func (c *Cipher) keysFor(ciphertext []byte) *keys {
	keys := c.current(LookEvery)
	if !keys.have(ciphertext) {
		keys = c.current(0)
	}
	return keys
}

// Encrypt returns the ciphertext of a value that is stored at a place.
func (c *Cipher) Encrypt(plain []byte, place string) ([]byte, error) {
	ciphertext, err := c.current(LookEvery).aead.Encrypt(plain, []byte(place))
	if err != nil {
		return nil, domain.Errorf(domain.KindInternal, "encrypt: %w", err)
	}
	return ciphertext, nil
}

// Decrypt returns the value that is stored at a place. It returns KindConfiguration where the keyset has no key for it, and where the
// ciphertext was altered or stored somewhere else.
func (c *Cipher) Decrypt(ciphertext []byte, place string) ([]byte, error) {
	keys := c.keysFor(ciphertext)
	if id, ok := keyOf(ciphertext); !ok || !keys.ids[id] {
		return nil, domain.Errorf(domain.KindConfiguration, "a stored value is encrypted with key %d, which %s does not have", id, c.variable)
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
	return ok && id == c.current(LookEvery).primary
}
