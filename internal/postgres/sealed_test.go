package postgres_test

import (
	"fmt"
	"strings"
	"testing"

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

// Whatever is encrypted with an older key is encrypted anew, once, while somebody else writes; after that the older key is not needed.
func TestReencrypt(t *testing.T) {
	t.Parallel()
	s := emptyStore(t)
	first, err := secrets.Generate()
	must(t, err)
	added, _, err := secrets.AddKey(first)
	must(t, err)
	promoted, _, err := secrets.Promote(added)
	must(t, err)
	removed, _, err := secrets.RemoveOlderKeys(promoted)
	must(t, err)
	before, during, after := postgres.NewDirectory(s.pool, cipherOf(t, first)), postgres.NewDirectory(s.pool, cipherOf(t, added)), postgres.NewDirectory(s.pool, cipherOf(t, removed))

	const accounts = 120 // more than are read at once
	sid := func(i int) string { return fmt.Sprintf("AC%032x", i) }
	for i := range accounts {
		must(t, before.AddAccount(t.Context(), domain.Account{AccountSid: sid(i)}, token(fmt.Sprintf("token%d", i))))
	}
	running, stop := make(chan struct{}), make(chan struct{})
	go func() { // a process that has the added key, and goes on
		defer close(running)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if credentials, err := during.Credentials(t.Context(), sid(i%accounts)); err != nil || credentials.AuthTokens[0] != fmt.Sprintf("token%d", i%accounts) {
				t.Errorf("account %d: %v", i%accounts, err)
				return
			}
		}
	}()
	done, err := postgres.Reencrypt(t.Context(), s.pool, cipherOf(t, promoted))
	must(t, err)
	equal(t, "values encrypted anew", done.Values, accounts)
	again, err := postgres.Reencrypt(t.Context(), s.pool, cipherOf(t, promoted))
	must(t, err)
	equal(t, "values encrypted anew the second time", again.Values, 0)
	close(stop)
	<-running
	for i := range accounts {
		credentials, err := after.Credentials(t.Context(), sid(i))
		must(t, err)
		equal(t, "token", credentials.AuthTokens[0], fmt.Sprintf("token%d", i))
	}
}

func TestReencryptReportsWhatItCannotRead(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	keyset, err := secrets.Generate()
	must(t, err)
	mine := cipherOf(t, keyset)
	must(t, postgres.NewDirectory(s.pool, mine).AddAccount(t.Context(), domain.Account{AccountSid: account}, token("mine")))
	added, _, err := secrets.AddKey(keyset)
	must(t, err)
	promoted, _, err := secrets.Promote(added)
	must(t, err)
	done, err := postgres.Reencrypt(t.Context(), s.pool, cipherOf(t, promoted))
	must(t, err)
	if done.Values != 1 || len(done.Unusable) != 1 || !strings.HasPrefix(done.Unusable[0], "account_tokens/"+rivals+"/") {
		t.Errorf("got %+v, want the other account's token named", done)
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
