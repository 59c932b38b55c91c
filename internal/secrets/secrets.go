// Package secrets encrypts what must not lie in the database in clear: Twilio's auth tokens.
//
// It is Tink's AEAD with a keyset that the operator holds (PARLEY_KEYSET or PARLEY_KEYSET_FILE). Each value is bound to
// the place it is stored at, so that a row copied to another account does not decrypt.
package secrets

import (
	"bytes"
	"encoding/json"
	"os"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"parley/internal/domain"
)

// Generate returns a new keyset with one AES-256-GCM key, as one line of JSON. Whoever has it can read every secret.
func Generate() (string, error) {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return "", domain.Errorf(domain.KindInternal, "keyset: %w", err)
	}
	var text, line bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&text)); err != nil {
		return "", domain.Errorf(domain.KindInternal, "keyset: %w", err)
	}
	if err := json.Compact(&line, text.Bytes()); err != nil {
		return "", domain.Errorf(domain.KindInternal, "keyset: %w", err)
	}
	return line.String(), nil
}

// Cipher encrypts and decrypts with one keyset.
type Cipher struct{ aead tink.AEAD }

// Load reads the keyset itself, or else the file that holds it. It returns KindConfiguration where neither is usable;
// the error never repeats the keyset.
func Load(text, file string) (*Cipher, error) {
	if text == "" {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, domain.Errorf(domain.KindConfiguration, "PARLEY_KEYSET_FILE: %w", err)
		}
		text = string(content)
	}
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewBufferString(text)))
	if err != nil {
		return nil, domain.Errorf(domain.KindConfiguration, "the keyset is not one that 'starter secrets keygen' printed")
	}
	primitive, err := aead.New(handle)
	if err != nil {
		return nil, domain.Errorf(domain.KindConfiguration, "the keyset is not for encryption (AEAD)")
	}
	return &Cipher{primitive}, nil
}

// Encrypt returns the ciphertext of a secret that is stored at a place.
func (c *Cipher) Encrypt(plain []byte, place string) ([]byte, error) {
	ciphertext, err := c.aead.Encrypt(plain, []byte(place))
	if err != nil {
		return nil, domain.Errorf(domain.KindInternal, "encrypt: %w", err)
	}
	return ciphertext, nil
}

// Decrypt returns the secret that is stored at a place. It returns KindConfiguration where the keyset does not fit, or
// where the ciphertext was stored somewhere else.
func (c *Cipher) Decrypt(ciphertext []byte, place string) ([]byte, error) {
	plain, err := c.aead.Decrypt(ciphertext, []byte(place))
	if err != nil {
		return nil, domain.Errorf(domain.KindConfiguration, "a stored secret does not decrypt: is PARLEY_KEYSET the one it was encrypted with?")
	}
	return plain, nil
}
