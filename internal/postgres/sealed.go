package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"parley/internal/domain"
)

// Cipher encrypts what must not be stored in clear. The place binds a ciphertext to its row and column.
type Cipher interface {
	Encrypt(plain []byte, place string) ([]byte, error)
	Decrypt(ciphertext []byte, place string) ([]byte, error)
	Primary(ciphertext []byte) bool // it was made with the key that values are encrypted with now
}

// sealed is a column whose values are encrypted. of and id are the two columns that name a row.
type sealed struct{ table, of, id, column string }

func tokenSecret() sealed      { return sealed{"account_tokens", "account_sid", "token_id", "secret"} }
func spoolReceived() sealed    { return sealed{"webhook_spool", "account_sid", "message_sid", "received"} }
func unroutedReceived() sealed { return sealed{"unrouted", "account_sid", "message_sid", "received"} }

// sealedColumns are all of them: what is not here is lost when an older key is.
func sealedColumns() []sealed { return []sealed{tokenSecret(), unroutedReceived(), spoolReceived()} }

// place is what a value is bound to: copied to another row or column it does not decrypt.
func (s sealed) place(of, id string) string {
	return s.table + "/" + of + "/" + id + "/" + s.column
}

// sealReceived encrypts a message, for a column whose rows are named by account and message.
func sealReceived(cipher Cipher, column sealed, received domain.Received) ([]byte, error) {
	plain, err := json.Marshal(received)
	if err != nil {
		return nil, domain.Errorf(domain.KindInternal, "%s: %w", column.table, err)
	}
	return cipher.Encrypt(plain, column.place(received.AccountSid, received.MessageSid))
}

// openReceived decrypts what sealReceived encrypted.
func openReceived(cipher Cipher, column sealed, accountSid, messageSid string, ciphertext []byte) (received domain.Received, err error) {
	plain, err := cipher.Decrypt(ciphertext, column.place(accountSid, messageSid))
	if err != nil {
		return domain.Received{}, err
	}
	if err := json.Unmarshal(plain, &received); err != nil {
		return domain.Received{}, domain.Errorf(domain.KindInternal, "%s: what was decrypted is not a message", column.table) // the cause would repeat some of it
	}
	return received, nil
}

// Vault is everything that is stored encrypted, whatever it is.
type Vault struct {
	pool   *Pool
	cipher Cipher
}

// NewVault returns the vault over a pool.
func NewVault(pool *Pool, cipher Cipher) *Vault { return &Vault{pool, cipher} }

const (
	vaultPage   = 100 // values that are read at once
	namedPlaces = 20  // of values that do not decrypt
)

// Reencrypt encrypts with the primary key whatever is encrypted with another, while processes run: each value by a statement of its own,
// unless somebody has changed it meanwhile. It may be stopped at any moment and run again.
func (v *Vault) Reencrypt(ctx context.Context) (domain.Reencrypted, error) {
	done := domain.Reencrypted{Places: []string{}}
	err := v.each(ctx, func(value sealedValue) error {
		if v.cipher.Primary(value.ciphertext) {
			return nil
		}
		place := value.column.place(value.of, value.id)
		plain, err := v.cipher.Decrypt(value.ciphertext, place)
		if err != nil { // it is reported, and the others are not the worse for it
			if done.Unusable++; done.Unusable <= namedPlaces {
				done.Places = append(done.Places, place)
			}
			return nil
		}
		ciphertext, err := v.cipher.Encrypt(plain, place)
		if err != nil {
			return err
		}
		replaced, err := v.replace(ctx, value, ciphertext)
		done.Values += replaced
		return err
	})
	return done, err
}

// Count returns how many values there are of a kind.
func (v *Vault) Count(ctx context.Context, of func(ciphertext []byte) bool) (n int, err error) {
	err = v.each(ctx, func(value sealedValue) error {
		if of(value.ciphertext) {
			n++
		}
		return nil
	})
	return n, err
}

// sealedValue is one value of a column.
type sealedValue struct {
	column     sealed
	of, id     string
	ciphertext []byte
}

// each reads all values, some at a time and with no transaction open between.
func (v *Vault) each(ctx context.Context, do func(sealedValue) error) error {
	for _, column := range sealedColumns() {
		for last := (sealedValue{}); ; {
			page, err := v.page(ctx, column, last)
			if err != nil {
				return err
			}
			if len(page) == 0 {
				break
			}
			for _, last = range page {
				if err := do(last); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (v *Vault) page(ctx context.Context, column sealed, after sealedValue) (page []sealedValue, err error) {
	err = inTx(ctx, v.pool, column.table, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, column.sql(`
			SELECT %[2]s, %[3]s, %[4]s FROM %[1]s WHERE (%[2]s, %[3]s) > ($1, $2) ORDER BY %[2]s, %[3]s LIMIT $3`), after.of, after.id, vaultPage)
		if err != nil {
			return err
		}
		page, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (sealedValue, error) {
			value := sealedValue{column: column}
			return value, row.Scan(&value.of, &value.id, &value.ciphertext)
		})
		return err
	})
	return page, err
}

// replace stores a value's ciphertext in place of the one that was read, and returns whether (1 or 0) that was still there.
func (v *Vault) replace(ctx context.Context, value sealedValue, ciphertext []byte) (replaced int, err error) {
	err = inTx(ctx, v.pool, value.column.table, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, value.column.sql(`UPDATE %[1]s SET %[4]s = $3 WHERE %[2]s = $1 AND %[3]s = $2 AND %[4]s = $4`),
			value.of, value.id, ciphertext, value.ciphertext)
		replaced = int(tag.RowsAffected())
		return err
	})
	return replaced, err
}

// sql fills the names of the table and its columns into a statement.
func (s sealed) sql(statement string) string {
	return fmt.Sprintf(statement, s.table, s.of, s.id, s.column)
}
