package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Cipher encrypts what must not be stored in clear. The place binds a ciphertext to its row and column.
type Cipher interface {
	Encrypt(plain []byte, place string) ([]byte, error)
	Decrypt(ciphertext []byte, place string) ([]byte, error)
	Primary(ciphertext []byte) bool // it was made with the key that values are encrypted with now
}

// sealed is a column whose values are encrypted. of and id are the two columns that name a row.
type sealed struct{ table, of, id, column string }

var (
	tokenSecret   = sealed{"account_tokens", "account_sid", "token_id", "secret"}
	spoolReceived = sealed{"webhook_spool", "account_sid", "message_sid", "received"}
)

// sealedColumns are all of them: what is not here is lost when an older key is.
func sealedColumns() []sealed { return []sealed{tokenSecret, spoolReceived} }

// place is what a value is bound to: copied to another row or column it does not decrypt.
func (s sealed) place(of, id string) string {
	return s.table + "/" + of + "/" + id + "/" + s.column
}

// Reencrypted says what came of encrypting everything anew.
type Reencrypted struct {
	Values   int      `json:"values"`   // that were encrypted anew
	Unusable []string `json:"unusable"` // places of values that do not decrypt
}

// reencryptPage is how many rows are read at once.
const reencryptPage = 100

// Reencrypt encrypts with the primary key whatever is encrypted with another, while processes run: each value by a statement of its own,
// unless somebody has changed it meanwhile. It may be stopped at any moment and run again.
func Reencrypt(ctx context.Context, pool *Pool, cipher Cipher) (Reencrypted, error) {
	done := Reencrypted{Unusable: []string{}}
	for _, column := range sealedColumns() {
		for last := (sealedValue{}); ; {
			page, err := list[sealedValue](ctx, pool, column.table, column.sql(`
				SELECT %[2]s, %[3]s, %[4]s FROM %[1]s WHERE (%[2]s, %[3]s) > ($1, $2) ORDER BY %[2]s, %[3]s LIMIT $3`), last.Of, last.ID, reencryptPage)
			if err != nil {
				return done, err
			}
			if len(page) == 0 {
				break
			}
			for _, value := range page {
				if err := column.reencrypt(ctx, pool, cipher, value, &done); err != nil {
					return done, err
				}
			}
			last = page[len(page)-1]
		}
	}
	return done, nil
}

// sealedValue is one value of a column.
type sealedValue struct {
	Of, ID     string
	Ciphertext []byte
}

// sql fills the names of the table and its columns into a statement.
func (s sealed) sql(statement string) string {
	return fmt.Sprintf(statement, s.table, s.of, s.id, s.column)
}

func (s sealed) reencrypt(ctx context.Context, pool *Pool, cipher Cipher, value sealedValue, done *Reencrypted) error {
	if cipher.Primary(value.Ciphertext) {
		return nil
	}
	place := s.place(value.Of, value.ID)
	plain, err := cipher.Decrypt(value.Ciphertext, place)
	if err != nil {
		done.Unusable = append(done.Unusable, place)
		return nil //nolint:nilerr // it is reported, and the others are not the worse for it
	}
	ciphertext, err := cipher.Encrypt(plain, place)
	if err != nil {
		return err
	}
	return inTx(ctx, pool, s.table, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, s.sql(`UPDATE %[1]s SET %[4]s = $3 WHERE %[2]s = $1 AND %[3]s = $2 AND %[4]s = $4`),
			value.Of, value.ID, ciphertext, value.Ciphertext)
		done.Values += int(tag.RowsAffected())
		return err
	})
}
