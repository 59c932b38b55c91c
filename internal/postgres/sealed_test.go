package postgres_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/internal/domain"
	"parley/internal/postgres"
	"parley/internal/secrets"
)

func cipherOf(t *testing.T, keyset string) *secrets.Cipher {
	t.Helper()
	cipher, err := secrets.Load("PARLEY_KEYSET", keyset, "")
	must(t, err)
	return cipher
}

// threeSteps returns a keyset and what becomes of it while a key takes the place of another.
func threeSteps(t *testing.T) (first, added, promoted, dropped string) {
	t.Helper()
	first, err := secrets.Generate()
	must(t, err)
	added, _, err = secrets.AddKey(first)
	must(t, err)
	promoted, _, err = secrets.Promote(added)
	must(t, err)
	dropped, _, err = secrets.DropOlderKeys(promoted)
	must(t, err)
	return first, added, promoted, dropped
}

func reencrypt(t *testing.T, s *store, keyset string) domain.Reencrypted {
	t.Helper()
	done, err := postgres.NewVault(s.pool, cipherOf(t, keyset)).Reencrypt(t.Context())
	must(t, err)
	return done
}

// Whatever is encrypted with an older key is encrypted anew, while a process that still encrypts with that key reads and writes. What it
// wrote meanwhile the next run finds; after that the older key is not needed.
func TestReencryptWhileOthersWrite(t *testing.T) {
	t.Parallel()
	s := emptyStore(t)
	first, added, promoted, dropped := threeSteps(t)
	const values = 250 // more than are read at once
	sid := func(i int) string { return fmt.Sprintf("AC%032x", i) }
	before, during, after := cipherOf(t, first), cipherOf(t, added), cipherOf(t, dropped)
	spooled := map[domain.SpoolKey]string{}
	for i := range values {
		must(t, postgres.NewDirectory(s.pool, before).AddAccount(t.Context(), domain.Account{AccountSid: sid(i)}, token(fmt.Sprintf("token%d", i))))
		message := arrived(fmt.Sprintf("body%d", i))
		spooled[keyOf(message)] = message.Body
		must(t, postgres.NewSpool(s.pool, before).Put(t.Context(), message))
	}

	running, stop := make(chan struct{}), make(chan struct{})
	other := postgres.NewDirectory(s.pool, during)
	go func() {
		defer close(running)
		for round := 0; ; round++ {
			select {
			case <-stop:
				return
			default:
			}
			i := round % values
			secret := fmt.Sprintf("token%d.%d", i, round)
			if err := other.AddAccount(t.Context(), domain.Account{AccountSid: sid(i)}, token(secret)); err != nil {
				t.Errorf("account %d: %v", i, err)
				return
			}
			if credentials, err := other.Credentials(t.Context(), sid(i)); err != nil || credentials.AuthTokens[0] != secret {
				t.Errorf("account %d: %v", i, err)
				return
			}
		}
	}()
	if done := reencrypt(t, s, promoted); done.Values < values || done.Unusable != 0 {
		t.Errorf("encrypted anew: %+v, want at least the %d spooled messages", done, values)
	}
	close(stop)
	<-running
	reencrypt(t, s, promoted)
	if again := reencrypt(t, s, promoted); again.Values != 0 || again.Unusable != 0 {
		t.Errorf("with nobody writing the next run finds %+v, want nothing", again)
	}

	for i := range values {
		credentials, err := postgres.NewDirectory(s.pool, after).Credentials(t.Context(), sid(i))
		must(t, err)
		if got, want := credentials.AuthTokens[0], fmt.Sprintf("token%d", i); got != want && !strings.HasPrefix(got, want+".") {
			t.Errorf("account %d has the token %s", i, got)
		}
	}
	taken, err := postgres.NewSpool(s.pool, after).Take(t.Context(), 2*values, time.Hour)
	must(t, err)
	equal(t, "spooled messages", len(taken), values)
	for _, message := range taken {
		if message.Err != nil || message.Received.Body != spooled[message.SpoolKey] {
			t.Errorf("%v: got %q, %v", message.SpoolKey, message.Received.Body, message.Err)
		}
	}
}

// A value that was replaced after it was read stays as it is: the newer one must not be lost for the older.
func TestReencryptLeavesWhatWasReplacedMeanwhile(t *testing.T) {
	t.Parallel()
	s := emptyStore(t)
	first, _, promoted, _ := threeSteps(t)
	directory := postgres.NewDirectory(s.pool, cipherOf(t, first))
	must(t, directory.AddAccount(t.Context(), domain.Account{AccountSid: account}, token("older")))
	var once sync.Once
	cipher := interrupted{cipherOf(t, promoted), func() {
		once.Do(func() {
			_, err := s.pool.Exec(t.Context(), `UPDATE account_tokens SET secret = 'newer'`)
			must(t, err)
		})
	}}
	done, err := postgres.NewVault(s.pool, cipher).Reencrypt(t.Context())
	must(t, err)
	equal(t, "values encrypted anew", done.Values, 0)
	equal(t, "the secret", string(rows[[]byte](t, s, `SELECT secret FROM account_tokens`)[0]), "newer")
}

// interrupted is a cipher beside which something happens after a value was decrypted.
type interrupted struct {
	postgres.Cipher
	happens func()
}

func (i interrupted) Decrypt(ciphertext []byte, place string) ([]byte, error) {
	defer i.happens()
	return i.Cipher.Decrypt(ciphertext, place)
}

func TestReencryptReportsWhatItCannotRead(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	first, _, promoted, _ := threeSteps(t)
	must(t, postgres.NewDirectory(s.pool, cipherOf(t, first)).AddAccount(t.Context(), domain.Account{AccountSid: account}, token("mine")))
	done := reencrypt(t, s, promoted)
	if done.Values != 1 || done.Unusable != 1 || !strings.HasPrefix(done.Places[0], "account_tokens/"+rivals+"/") {
		t.Errorf("got %+v, want the other account's token named", done)
	}
}

// Before a key is dropped somebody asks what is still encrypted with it.
func TestVaultCountsWhatAKeyIsNeededFor(t *testing.T) {
	t.Parallel()
	s := emptyStore(t)
	first, _, promoted, dropped := threeSteps(t)
	directory, vault := postgres.NewDirectory(s.pool, cipherOf(t, first)), postgres.NewVault(s.pool, cipherOf(t, promoted))
	must(t, directory.AddAccount(t.Context(), domain.Account{AccountSid: account}, token("older")))
	must(t, postgres.NewSpool(s.pool, cipherOf(t, first)).Put(t.Context(), arrived("hello")))
	lost := func(ciphertext []byte) bool { return !cipherOf(t, dropped).Has(ciphertext) }
	for _, want := range []int{2, 0} {
		n, err := vault.Count(t.Context(), lost)
		must(t, err)
		equal(t, "values that need the older key", n, want)
		reencrypt(t, s, promoted)
	}
}

// A column that Reencrypt does not know is lost with the key that it was encrypted with.
func TestEveryEncryptedColumnIsReencrypted(t *testing.T) {
	t.Parallel()
	s := emptyStore(t)
	equal(t, "columns of bytes", strings.Join(rows[string](t, s, `
		SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public' AND data_type = 'bytea' ORDER BY 1`), " "),
		strings.Join(postgres.SealedColumns(), " "))
}
