package postgres_test

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/internal/domain"
	"parley/internal/postgres"
)

const apiKey = "SK00000000000000000000000000000001"

func token(secret string) domain.NewToken {
	return domain.NewToken{Secret: secret, AddedBy: "ops@desk"}
}

// secretsOf returns the account's valid auth tokens, and the logins as user:password, each in their order.
func secretsOf(t *testing.T, s *store, accountSid string) (authTokens, logins string) {
	t.Helper()
	credentials, err := s.directory.Credentials(t.Context(), accountSid)
	must(t, err)
	equal(t, "account", credentials.AccountSid, accountSid)
	for _, login := range credentials.Logins {
		if login.AccountSid != accountSid || login.TokenID == "" {
			t.Errorf("login %+v", login)
		}
		logins += " " + login.User + ":" + login.Password
	}
	return strings.Join(credentials.AuthTokens, " "), strings.TrimSpace(logins)
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	s := emptyStore(t)
	for range 2 {
		must(t, s.directory.AddAccount(t.Context(), domain.Account{AccountSid: account, Name: "main"}, token(authToken)))
	}
	authTokens, logins := secretsOf(t, s, account)
	equal(t, "auth tokens", authTokens, authToken)
	equal(t, "logins", logins, account+":"+authToken)

	must(t, s.directory.AddAccount(t.Context(), domain.Account{AccountSid: account, Name: "renamed"}, token("yet another")))
	must(t, s.directory.AddAccount(t.Context(), domain.Account{AccountSid: account}, token("another"))) // its name stays
	authTokens, _ = secretsOf(t, s, account)
	equal(t, "auth tokens after the account was added with another one", authTokens, "another")
	equal(t, "tokens that are stored", value[int](t, s, `SELECT count(*) FROM account_tokens`), 1)
	accounts, err := s.directory.Accounts(t.Context())
	must(t, err)
	if len(accounts) != 1 || accounts[0].AccountSid != account || accounts[0].Name != "renamed" || accounts[0].CreatedAt.IsZero() ||
		len(accounts[0].Tokens) != 1 || accounts[0].Tokens[0].AddedBy != "ops@desk" || accounts[0].Tokens[0].AddedAt.IsZero() {
		t.Errorf("got %+v", accounts)
	}

	must(t, s.directory.RemoveAccount(t.Context(), account))
	equal(t, "tokens of a removed account", value[int](t, s, `SELECT count(*) FROM account_tokens`), 0)
	wantKind(t, s.directory.RemoveAccount(t.Context(), account), domain.KindNotFound)
	_, err = s.directory.Credentials(t.Context(), account)
	wantKind(t, err, domain.KindNotFound)
	wantKind(t, s.directory.AddAccount(t.Context(), domain.Account{AccountSid: "AC123"}, token(authToken)), domain.KindInvalid)
}

// One token takes the place of another: the older one stays valid for as long as it is kept, and then no longer.
func TestTokensTakeEachOthersPlace(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	add := func(secret string, keep time.Duration) string {
		t.Helper()
		id, err := s.directory.AddToken(t.Context(), account, token(secret), keep)
		must(t, err)
		return id
	}
	valid := func(want ...string) {
		t.Helper()
		got, _ := secretsOf(t, s, account)
		equal(t, "auth tokens", got, strings.Join(want, " "))
	}
	second := add("second", time.Hour)
	equal(t, "id of the same token, added again", add("second", time.Hour), second)
	valid("second", authToken)
	until := value[time.Time](t, s, `SELECT valid_until FROM account_tokens WHERE account_sid = $1 AND token_id <> $2`, account, second)
	add("second", 2*time.Hour)
	equal(t, "the end of the older one, which was set before", value[time.Time](t, s,
		`SELECT valid_until FROM account_tokens WHERE account_sid = $1 AND token_id <> $2`, account, second), until)
	add("third", time.Hour)
	valid("third", "second", authToken)

	_, err := s.pool.Exec(t.Context(), `UPDATE account_tokens SET valid_until = now() - interval '1s' WHERE token_id = $1`, second)
	must(t, err)
	valid("third", authToken)
	add(authToken, time.Hour) // back to the first one
	valid(authToken, "third")
	equal(t, "tokens that are stored: the one that had ended is erased", value[int](t, s, `SELECT count(*) FROM account_tokens WHERE account_sid = $1`, account), 2)
	add("fourth", 0)
	valid("fourth")
	got, _ := secretsOf(t, s, rivals)
	equal(t, "another account's auth tokens", got, authToken)

	_, err = s.directory.AddToken(t.Context(), "AC"+strings.Repeat("f", 32), token("x"), 0)
	wantKind(t, err, domain.KindNotFound)
}

func TestAPIKeysOpenTheAPIAndDoNotSign(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	other := "SK" + strings.Repeat("f", 32)
	_, err := s.directory.AddToken(t.Context(), account, domain.NewToken{APIKey: apiKey, Secret: "first"}, time.Hour)
	must(t, err)
	_, err = s.directory.AddToken(t.Context(), account, domain.NewToken{APIKey: other, Secret: "other"}, time.Hour)
	must(t, err)
	_, err = s.directory.AddToken(t.Context(), account, token("second"), time.Hour)
	must(t, err)
	authTokens, logins := secretsOf(t, s, account)
	equal(t, "what may have signed", authTokens, "second "+authToken)
	equal(t, "logins", logins, other+":other "+apiKey+":first "+account+":second "+account+":"+authToken)
	_, err = s.directory.AddToken(t.Context(), account, domain.NewToken{APIKey: "SK1", Secret: "x"}, 0)
	wantKind(t, err, domain.KindInvalid)
}

func TestDropToken(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	second, err := s.directory.AddToken(t.Context(), account, token("second"), time.Hour)
	must(t, err)
	key, err := s.directory.AddToken(t.Context(), account, domain.NewToken{APIKey: apiKey, Secret: "secret"}, 0)
	must(t, err)
	wantKind(t, s.directory.DropToken(t.Context(), rivals, second), domain.KindNotFound)
	must(t, s.directory.DropToken(t.Context(), account, second)) // it was a mistake: the one before stays
	wantKind(t, s.directory.DropToken(t.Context(), account, second), domain.KindNotFound)
	if accounts, err := s.directory.Accounts(t.Context()); err != nil || len(accounts[0].Tokens) != 2 || accounts[0].Tokens[1].ValidUntil != nil {
		t.Errorf("got %+v, %v: the only auth token must not end by itself", accounts, err)
	}
	first := value[string](t, s, `SELECT token_id FROM account_tokens WHERE account_sid = $1 AND api_key = ''`, account)
	wantKind(t, s.directory.DropToken(t.Context(), account, first), domain.KindConflict)
	must(t, s.directory.DropToken(t.Context(), account, key))
	_, logins := secretsOf(t, s, account)
	equal(t, "logins", logins, account+":"+authToken)
}

// Whoever comes first: at the end one token is the newest, and at least one is valid all the time.
func TestTokensOfSeveralOperatorsAtOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			secret := string(rune('a' + i))
			id, err := s.directory.AddToken(t.Context(), account, token(secret), time.Hour)
			if err == nil && i%2 == 0 {
				err = s.directory.DropToken(t.Context(), account, id)
			}
			if err != nil {
				t.Error(err)
			}
			if authTokens, _ := secretsOf(t, s, account); authTokens == "" {
				t.Error("no token is valid")
			}
		})
	}
	group.Wait()
	equal(t, "tokens without an end", value[int](t, s, `SELECT count(*) FROM account_tokens WHERE account_sid = $1 AND valid_until IS NULL`, account), 1)
	authTokens, _ := secretsOf(t, s, account)
	if kept := strings.Fields(authTokens); len(kept) != 5 || !slices.Contains(kept, authToken) {
		t.Errorf("got %v, want those that were not dropped and the first", authTokens)
	}
}

func TestTokensAreEncryptedAndBoundToTheirPlace(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	second, err := s.directory.AddToken(t.Context(), account, token("second"), time.Hour)
	must(t, err)
	ciphertext := value[[]byte](t, s, `SELECT secret FROM account_tokens WHERE token_id = $1`, second)
	if bytes.Contains(ciphertext, []byte("second")) || len(ciphertext) <= len("second") {
		t.Error("the token lies in the database in clear")
	}
	for what, statement := range map[string]string{
		"another account":              `UPDATE account_tokens SET secret = $1 WHERE account_sid = '` + rivals + `'`,
		"another token of the account": `UPDATE account_tokens SET secret = $1 WHERE account_sid = '` + account + `'`,
	} {
		_, err := s.pool.Exec(t.Context(), statement, ciphertext)
		must(t, err)
		for _, accountSid := range []string{account, rivals} {
			if strings.Contains(statement, accountSid) {
				_, err = s.directory.Credentials(t.Context(), accountSid)
				if domain.KindOf(err) != domain.KindConfiguration {
					t.Errorf("copied to %s: %v, want KindConfiguration", what, err)
				}
			}
		}
	}
	stranger := postgres.NewDirectory(s.pool, newCipher(t))
	_, err = stranger.Credentials(t.Context(), account)
	wantKind(t, err, domain.KindConfiguration)

	// Adding the account again mends it.
	must(t, stranger.AddAccount(t.Context(), domain.Account{AccountSid: account}, token("again")))
	credentials, err := stranger.Credentials(t.Context(), account)
	must(t, err)
	equal(t, "auth tokens", strings.Join(credentials.AuthTokens, " "), "again")
}

// An account without a token is the operator's to mend: it is not somebody else's.
func TestAccountWithoutAToken(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	_, err := s.pool.Exec(t.Context(), `DELETE FROM account_tokens WHERE account_sid = $1`, account)
	must(t, err)
	_, err = s.directory.Credentials(t.Context(), account)
	wantKind(t, err, domain.KindConfiguration)
}

// An attempt that is claimed afresh knows the tokens that Twilio did not accept for it; a new attempt knows none.
func TestClaimKnowsRefusedTokens(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := s.inbound(t, "hi", "hello")
	const both = "token-2 token-1"
	for i, refused := range strings.Fields(both) {
		equal(t, "tokens refused before "+refused, len(f.begin(t, 1, 1).Refused), i)
		f.resolve(t, 1, 1, domain.Resolution{State: domain.AttemptNotSent, ErrorCode: 20003, Refused: refused})
	}
	equal(t, "refused tokens", strings.Join(f.begin(t, 1, 1).Refused, " "), both)
	f.resolve(t, 1, 1, domain.Resolution{State: domain.AttemptRefused, ErrorCode: 20003, ErrorKind: domain.KindConfiguration})
	equal(t, "tokens refused for another attempt", len(f.begin(t, 1, 2).Refused), 0)
	trace, err := s.messages.Trace(t.Context(), f.messageID)
	must(t, err)
	equal(t, "refused tokens in the trace", strings.Join(trace.Attempts[0].Refused, " "), both)
}
