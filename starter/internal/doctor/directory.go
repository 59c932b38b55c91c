package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"parley/internal/domain"
)

const (
	accounts = "accounts"
	senders  = "senders"
)

// Vault has the accounts with their credentials, which it decrypts.
type Vault interface {
	Accounts(context.Context) ([]domain.Account, error)
	Credentials(ctx context.Context, accountSid string) (domain.Credentials, error)
}

// Twilio knows the accounts of all the world.
type Twilio interface {
	// Authenticate returns nil for a login that is accepted.
	Authenticate(context.Context, domain.Login) error
}

// All accounts are asked within their check's time, some at once.
const (
	accountsWithin = time.Minute
	accountWithin  = 10 * time.Second
	askedAtOnce    = 8
)

// Accounts looks whether each account's tokens decrypt, and whether Twilio accepts each.
func Accounts(vault Vault, twilio Twilio) Check {
	return Check{Name: accounts, Needs: []string{schema, keyset}, Within: accountsWithin, Look: func(ctx context.Context) Finding {
		list, err := vault.Accounts(ctx)
		if err != nil {
			return failed("see what is said of the database", "%s", err)
		}
		if len(list) == 0 {
			var f Finding
			f.warn("add one: starter account add AC... --token-file FILE", "no Twilio account is stored: every webhook is answered 403")
			return f
		}
		all := eachAtOnce(list, func(account domain.Account) opinion {
			ctx, cancel := context.WithTimeout(ctx, accountWithin)
			defer cancel()
			return ask(ctx, vault, twilio, account)
		})
		return sum(all)
	}}
}

// opinion is what became of one account.
type opinion struct {
	locked bool // its tokens do not decrypt
	Finding
}

const adviceForLocked = "let PARLEY_KEYSET be the keyset that it was encrypted with, or store the token again: starter account add "

func ask(ctx context.Context, vault Vault, twilio Twilio, account domain.Account) (o opinion) {
	sid := account.AccountSid
	credentials, err := vault.Credentials(ctx, sid)
	switch {
	case err == nil:
		askTwilio(ctx, &o.Finding, twilio, credentials)
	case domain.KindOf(err) != domain.KindConfiguration:
		o.fail("see what is said of the database", "%s: %s", sid, err)
	case !hasAuthToken(account):
		o.fail("starter account add "+sid+" --token-file FILE", "%s: it has no auth token that is valid now: every webhook of it is refused", sid)
	default:
		o.locked = true
		o.fail(adviceForLocked+sid+" --token-file FILE", "%s: its token does not decrypt", sid)
	}
	return o
}

func hasAuthToken(account domain.Account) bool {
	return slices.ContainsFunc(account.Tokens, func(t domain.Token) bool {
		return t.APIKey == "" && (t.ValidUntil == nil || t.ValidUntil.After(time.Now()))
	})
}

// askTwilio tries each login. One that is refused beside an auth token that is accepted is the old or the new one of a rotation;
// where no auth token is accepted, webhooks will not be verified either.
func askTwilio(ctx context.Context, f *Finding, twilio Twilio, credentials domain.Credentials) {
	sid, verified := credentials.AccountSid, false
	refused := map[string]error{}
	for _, login := range credentials.Logins {
		err := twilio.Authenticate(ctx, login)
		switch {
		case err == nil:
			verified = verified || login.User == sid
		case domain.KindOf(err) == domain.KindThrottled:
			f.warn("try again later", "%s: %s", sid, err)
			return
		case unavailable(err):
			f.fail("see that this machine reaches Twilio's API, and status.twilio.com", "%s: %s", sid, err)
			return
		default:
			refused[login.TokenID] = err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(refused)) {
		if verified {
			f.warn(fmt.Sprintf("starter account drop-token %s %s, unless it is the one that Twilio will switch to", sid, id),
				"%s: token %s, beside one that is accepted: %s", sid, id, refused[id])
		} else {
			f.fail("see the account at Twilio; where it is active, give its primary auth token: starter account rotate "+sid+" --token-file FILE",
				"%s: token %s: %s", sid, id, refused[id])
		}
	}
}

// sum puts the opinions together. Where no token at all decrypts, the keyset is another one: that is said once.
func sum(all []opinion) Finding {
	var f Finding
	well, locked := 0, 0
	for _, one := range all {
		if len(one.Problems) == 0 {
			well++
		}
		if one.locked {
			locked++
		}
		f.Problems = append(f.Problems, one.Problems...)
	}
	f.Found = fmt.Sprintf("accounts that Twilio lets in: %d of %d", well, len(all))
	if locked == len(all) && locked > 1 {
		f.Problems = nil
		f.fail(adviceForLocked+"AC... --token-file FILE", "no stored token decrypts, of any account: the keyset is another one")
	}
	return f
}

// eachAtOnce asks about every element, some at once, and returns the answers in their order.
func eachAtOnce[T, A any](list []T, ask func(T) A) []A {
	answers := make([]A, len(list))
	var group errgroup.Group
	group.SetLimit(askedAtOnce)
	for i := range list {
		group.Go(func() error {
			answers[i] = ask(list[i])
			return nil
		})
	}
	_ = group.Wait() // every problem stands in its answer
	return answers
}

// Addresses has the accounts and their senders.
type Addresses interface {
	Accounts(context.Context) ([]domain.Account, error)
	Senders(ctx context.Context, ownerID string) ([]domain.Sender, error)
}

// Senders looks for accounts whose messages belong to nobody. A sender always has its account: the schema sees to that.
func Senders(addresses Addresses) Check {
	return Check{Name: senders, Needs: []string{schema}, Look: func(ctx context.Context) Finding {
		registered, err := addresses.Senders(ctx, "")
		if err != nil {
			return failed("see what is said of the database", "%s", err)
		}
		list, err := addresses.Accounts(ctx)
		if err != nil {
			return failed("see what is said of the database", "%s", err)
		}
		f := found("%d, of accounts: %d", len(registered), len(list))
		for _, account := range list {
			if !slices.ContainsFunc(registered, func(s domain.Sender) bool { return s.AccountSid == account.AccountSid }) {
				f.warn(fmt.Sprintf("starter sender add %s ADDRESS --owner OWNER", account.AccountSid),
					"%s: it has no sender, so that its messages park as unroutable", account.AccountSid)
			}
		}
		return f
	}}
}
