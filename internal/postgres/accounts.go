package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/internal/domain"
)

// AddAccount adds an account with an auth token, or replaces the auth tokens of the one with this sid, and its name where one is given. It
// returns KindInvalid for what is not an account's sid.
func (d *Directory) AddAccount(ctx context.Context, account domain.Account, token domain.NewToken) error {
	return inTx(ctx, d.pool, "account", func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `
			INSERT INTO twilio_accounts (account_sid, name) VALUES ($1, $2)
			ON CONFLICT (account_sid) DO UPDATE SET name = coalesce(nullif(excluded.name, ''), twilio_accounts.name), updated_at = now()`, account.AccountSid, text(account.Name)); err != nil {
			return err
		}
		_, err := d.addToken(ctx, tx, account.AccountSid, token, 0)
		return err
	})
}

// AddToken gives an account a token that takes the place of those of its kind, and returns its id. The older ones stay valid for as long as
// keep says, or for as long as they would have been. Key: the secret; adding the newest one again adds nothing. It returns KindNotFound
// for an account that is not known.
func (d *Directory) AddToken(ctx context.Context, accountSid string, token domain.NewToken, keep time.Duration) (tokenID string, err error) {
	err = inTx(ctx, d.pool, "account", func(ctx context.Context, tx pgx.Tx) error {
		if err := lockAccount(ctx, tx, accountSid); err != nil {
			return err
		}
		tokenID, err = d.addToken(ctx, tx, accountSid, token, keep)
		return err
	})
	return tokenID, err
}

// lockAccount locks an account's row: who changes its tokens looks at all of them first.
func lockAccount(ctx context.Context, tx pgx.Tx, accountSid string) error {
	return affected(tx.Exec(ctx, `SELECT FROM twilio_accounts WHERE account_sid = $1 FOR UPDATE`, accountSid))
}

// addToken is AddToken for a caller that holds the account's row.
func (d *Directory) addToken(ctx context.Context, tx pgx.Tx, accountSid string, token domain.NewToken, keep time.Duration) (string, error) {
	id, err := d.sameToken(ctx, tx, accountSid, token)
	if err != nil {
		return "", err
	}
	if id == "" {
		if id, err = d.insertToken(ctx, tx, accountSid, token); err != nil {
			return "", err
		}
	}
	// What is not valid any more, and what is not to be kept, is erased: nobody needs the secret.
	_, err = tx.Exec(ctx, `
		WITH older AS (
			UPDATE account_tokens SET valid_until = least(valid_until, clock_timestamp() + $4::interval)
			WHERE account_sid = $1 AND (api_key = '') = $2 AND token_id <> $3 AND $4::interval > '0' AND coalesce(valid_until, 'infinity') > clock_timestamp()
			RETURNING token_id
		)
		DELETE FROM account_tokens WHERE account_sid = $1 AND (api_key = '') = $2 AND token_id <> $3 AND token_id NOT IN (SELECT token_id FROM older)`,
		accountSid, token.APIKey == "", id, keep)
	return id, err
}

// sameToken returns the id of the account's newest token of a kind where it is this one. An older one that is this one is erased: it
// becomes the newest.
func (d *Directory) sameToken(ctx context.Context, tx pgx.Tx, accountSid string, token domain.NewToken) (string, error) {
	type row struct {
		TokenID, APIKey string
		Secret          []byte
	}
	rows, err := collect[row](ctx, tx, `
		SELECT token_id, api_key, secret FROM account_tokens WHERE account_sid = $1 AND (api_key = '') = $2 `+newestFirst, accountSid, token.APIKey == "")
	if err != nil {
		return "", err
	}
	for i, r := range rows {
		// One that does not decrypt is another one: adding the account again is what mends a lost keyset.
		secret, err := d.cipher.Decrypt(r.Secret, tokenSecret().place(accountSid, r.TokenID))
		if err != nil || r.APIKey != token.APIKey || string(secret) != token.Secret {
			continue
		}
		if i == 0 {
			return r.TokenID, nil
		}
		if _, err := tx.Exec(ctx, `DELETE FROM account_tokens WHERE token_id = $1`, r.TokenID); err != nil {
			return "", err
		}
	}
	return "", nil
}

const newestFirst = `ORDER BY valid_from DESC, token_id DESC`

func (d *Directory) insertToken(ctx context.Context, tx pgx.Tx, accountSid string, token domain.NewToken) (string, error) {
	id, err := newID()
	if err != nil {
		return "", err
	}
	ciphertext, err := d.cipher.Encrypt([]byte(token.Secret), tokenSecret().place(accountSid, id))
	if err != nil {
		return "", err
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO account_tokens (token_id, account_sid, api_key, secret, added_by) VALUES ($1, $2, $3, $4, $5)`,
		id, accountSid, token.APIKey, ciphertext, text(token.AddedBy))
	return id, err
}

// DropToken erases a token of an account at once. The newest of those that are left is then valid until another takes its place. It
// returns KindNotFound where the account has no such token, and KindConflict for the last auth token: without one the account's webhooks
// would be refused.
func (d *Directory) DropToken(ctx context.Context, accountSid, tokenID string) error {
	return inTx(ctx, d.pool, "token", func(ctx context.Context, tx pgx.Tx) error {
		if err := lockAccount(ctx, tx, accountSid); err != nil {
			return err
		}
		var authToken bool
		if err := tx.QueryRow(ctx, `
			DELETE FROM account_tokens WHERE account_sid = $1 AND token_id = $2 RETURNING api_key = ''`, accountSid, tokenID).Scan(&authToken); err != nil {
			return err
		}
		left, err := tx.Exec(ctx, `
			UPDATE account_tokens SET valid_until = NULL WHERE token_id = (
				SELECT token_id FROM account_tokens
				WHERE account_sid = $1 AND (api_key = '') = $2 AND coalesce(valid_until, 'infinity') > clock_timestamp() `+newestFirst+` LIMIT 1)`,
			accountSid, authToken)
		if err == nil && authToken && left.RowsAffected() == 0 {
			return domain.Errorf(domain.KindConflict, "it is the last auth token of account %s: add the one that takes its place first", accountSid)
		}
		return err
	})
}

// Accounts returns every account with its tokens, by sid.
func (d *Directory) Accounts(ctx context.Context) (accounts []domain.Account, err error) {
	err = inTx(ctx, d.pool, "accounts", func(ctx context.Context, tx pgx.Tx) error {
		type row struct {
			AccountSid string
			domain.Token
		}
		tokens, err := collect[row](ctx, tx, `
			SELECT account_sid, token_id, api_key, added_by, valid_from, valid_until FROM account_tokens ORDER BY api_key = '', valid_from DESC, token_id DESC`)
		if err != nil {
			return err
		}
		bySid := map[string][]domain.Token{}
		for _, token := range tokens {
			bySid[token.AccountSid] = append(bySid[token.AccountSid], token.Token)
		}
		rows, err := tx.Query(ctx, `SELECT account_sid, name, created_at FROM twilio_accounts ORDER BY account_sid`)
		if err != nil {
			return err
		}
		accounts, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (account domain.Account, err error) {
			err = row.Scan(&account.AccountSid, &account.Name, &account.CreatedAt)
			account.Tokens = append([]domain.Token{}, bySid[account.AccountSid]...)
			return account, err
		})
		return err
	})
	return accounts, err
}

// RemoveAccount removes an account that has no senders any more, and its tokens. It returns KindNotFound where there is none, and
// KindConflict where senders are left.
func (d *Directory) RemoveAccount(ctx context.Context, accountSid string) error {
	return inTx(ctx, d.pool, "account", func(ctx context.Context, tx pgx.Tx) error {
		var senders int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM senders WHERE account_sid = $1`, accountSid).Scan(&senders); err != nil {
			return err
		}
		if senders > 0 {
			return domain.Errorf(domain.KindConflict, "account %s still has %d senders: remove them first", accountSid, senders)
		}
		return affected(tx.Exec(ctx, `DELETE FROM twilio_accounts WHERE account_sid = $1`, accountSid))
	})
}

// Credentials returns the secrets of an account that are valid now, KindNotFound for an account that is not known, or KindConfiguration
// where one does not decrypt or no auth token is left. It is asked before webhook requests: one statement, which is a transaction by
// itself, and one round trip.
func (d *Directory) Credentials(ctx context.Context, accountSid string) (domain.Credentials, error) {
	type row struct {
		TokenID, APIKey string
		Secret          []byte
	}
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	found, err := d.pool.Query(ctx, `
		SELECT coalesce(token_id, ''), coalesce(api_key, ''), secret
		FROM twilio_accounts a LEFT JOIN account_tokens t
			ON t.account_sid = a.account_sid AND coalesce(valid_until, 'infinity') > clock_timestamp()
		WHERE a.account_sid = $1 ORDER BY api_key = '', valid_from DESC, token_id DESC`, accountSid)
	var rows []row
	if err == nil {
		rows, err = pgx.CollectRows(found, pgx.RowToStructByPos[row])
	}
	if err == nil && len(rows) == 0 {
		err = pgx.ErrNoRows
	}
	if err := mapError("account", err); err != nil {
		return domain.Credentials{}, err
	}
	credentials := domain.Credentials{AccountSid: accountSid}
	for _, r := range rows {
		if r.TokenID == "" {
			continue // the account's own row, which has no token
		}
		secret, err := d.cipher.Decrypt(r.Secret, tokenSecret().place(accountSid, r.TokenID))
		if err != nil {
			return domain.Credentials{}, err
		}
		login := domain.Login{AccountSid: accountSid, TokenID: r.TokenID, User: r.APIKey, Password: string(secret)}
		if r.APIKey == "" {
			login.User = accountSid
			credentials.AuthTokens = append(credentials.AuthTokens, string(secret))
		}
		credentials.Logins = append(credentials.Logins, login)
	}
	if len(credentials.AuthTokens) == 0 {
		return domain.Credentials{}, domain.Errorf(domain.KindConfiguration, "account %s has no auth token: 'starter account add' gives it one", accountSid)
	}
	return credentials, nil
}
