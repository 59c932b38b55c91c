package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"parley/internal/domain"
)

// Directory stores who there is: owners with their settings, Twilio accounts, senders.
type Directory struct {
	pool   *pgxpool.Pool
	cipher Cipher
}

// NewDirectory returns a directory over a pool.
func NewDirectory(pool *pgxpool.Pool, cipher Cipher) *Directory { return &Directory{pool, cipher} }

// AddOwner adds an owner, with a plan that has no limits, or renames the one with this id.
func (d *Directory) AddOwner(ctx context.Context, owner domain.Owner) error {
	return inTx(ctx, d.pool, "owner", func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `
			INSERT INTO owners (owner_id, name) VALUES ($1, $2)
			ON CONFLICT (owner_id) DO UPDATE SET name = excluded.name`, owner.OwnerID, text(owner.Name)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `
			INSERT INTO subscriptions (owner_id, plan_id) VALUES ($1, $2) ON CONFLICT (owner_id) DO NOTHING`, owner.OwnerID, domain.Unlimited)
		return err
	})
}

// Owners returns every owner, by id.
func (d *Directory) Owners(ctx context.Context) ([]domain.Owner, error) {
	return list[domain.Owner](ctx, d.pool, "owners", `SELECT owner_id, name, created_at FROM owners ORDER BY owner_id`)
}

// Owner returns one owner, or KindNotFound.
func (d *Directory) Owner(ctx context.Context, ownerID string) (domain.Owner, error) {
	return one[domain.Owner](ctx, d.pool, "owner", `SELECT owner_id, name, created_at FROM owners WHERE owner_id = $1`, ownerID)
}

// SetSettings stores several settings of an owner, all or none. It returns KindInvalid with every problem, KindNotFound
// without such an owner.
func (d *Directory) SetSettings(ctx context.Context, ownerID string, values map[string]string) error {
	if err := domain.CheckSettings(values); err != nil {
		return err
	}
	return inTx(ctx, d.pool, "owner settings", func(ctx context.Context, tx pgx.Tx) error {
		for name, value := range values {
			if _, err := tx.Exec(ctx, `
				INSERT INTO owner_settings (owner_id, name, value) VALUES ($1, $2, $3)
				ON CONFLICT (owner_id, name) DO UPDATE SET value = excluded.value, updated_at = now()`, ownerID, name, value); err != nil {
				return err
			}
		}
		return nil
	})
}

// UnsetSetting gives a setting of an owner its default again.
func (d *Directory) UnsetSetting(ctx context.Context, ownerID, name string) error {
	return inTx(ctx, d.pool, "owner settings", func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM owner_settings WHERE owner_id = $1 AND name = $2`, ownerID, name)
		return err
	})
}

// Settings returns an owner's settings, complete with defaults, or KindNotFound.
func (d *Directory) Settings(ctx context.Context, ownerID string) (settings domain.Settings, err error) {
	err = inTx(ctx, d.pool, "owner settings", func(ctx context.Context, tx pgx.Tx) error {
		settings, err = settingsOf(ctx, tx, ownerID)
		return err
	})
	return settings, err
}

func settingsOf(ctx context.Context, tx pgx.Tx, ownerID string) (domain.Settings, error) {
	stored, err := storedSettings(ctx, tx, ownerID)
	if err != nil {
		return domain.Settings{}, err
	}
	return domain.ParseSettings(stored)
}

// storedSettings returns what an owner set, or KindNotFound where there is no such owner.
func storedSettings(ctx context.Context, tx pgx.Tx, ownerID string) (map[string]string, error) {
	stored := map[string]string{}
	err := tx.QueryRow(ctx, `
		SELECT coalesce((SELECT jsonb_object_agg(name, value) FROM owner_settings s WHERE s.owner_id = o.owner_id), '{}')
		FROM owners o WHERE o.owner_id = $1`, ownerID).Scan(&stored)
	return stored, err
}

// AddSender adds a sender; adding it again is fine, and changes who answers consent words, where that is said. It returns KindConflict where another owner has it, and KindNotFound
// where there is no such account or owner.
func (d *Directory) AddSender(ctx context.Context, sender domain.Sender) error {
	return inTx(ctx, d.pool, "sender", func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `
			INSERT INTO senders (account_sid, channel, address, owner_id, opt_out_replies) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (account_sid, channel, address) DO UPDATE SET opt_out_replies = excluded.opt_out_replies
			WHERE senders.owner_id = excluded.owner_id AND excluded.opt_out_replies <> ''`,
			sender.AccountSid, sender.Channel, sender.Address, sender.OwnerID, sender.OptOutReplies); err != nil {
			return err
		}
		ownerID, err := ownerOf(ctx, tx, sender.AccountSid, domain.Address{Channel: sender.Channel, Value: sender.Address})
		if err == nil && ownerID != sender.OwnerID {
			return domain.Errorf(domain.KindConflict, "this sender belongs to owner %s", ownerID)
		}
		return err
	})
}

// Senders returns the senders of an owner, or of all where ownerID is empty.
func (d *Directory) Senders(ctx context.Context, ownerID string) ([]domain.Sender, error) {
	return list[domain.Sender](ctx, d.pool, "senders", `
		SELECT account_sid, channel, address, owner_id, created_at, opt_out_replies, messaging_service_sid FROM senders
		WHERE $1 = '' OR owner_id = $1 ORDER BY owner_id, channel, address, account_sid`, ownerID)
}

// SendersOf returns every sender with this address: one, unless several accounts share it.
func (d *Directory) SendersOf(ctx context.Context, address domain.Address) ([]domain.Sender, error) {
	return list[domain.Sender](ctx, d.pool, "senders", `
		SELECT account_sid, channel, address, owner_id, created_at, opt_out_replies, messaging_service_sid FROM senders
		WHERE channel = $1 AND address = $2 ORDER BY owner_id, account_sid`, address.Channel, address.Value)
}

// RemoveSender removes a sender, or returns KindNotFound.
func (d *Directory) RemoveSender(ctx context.Context, accountSid string, address domain.Address) error {
	return inTx(ctx, d.pool, "sender", func(ctx context.Context, tx pgx.Tx) error {
		return affected(tx.Exec(ctx, `DELETE FROM senders WHERE account_sid = $1 AND channel = $2 AND address = $3`,
			accountSid, address.Channel, address.Value))
	})
}

// ResolveSender returns the owner of one of our addresses with the owner's settings, or KindNotFound.
func (d *Directory) ResolveSender(ctx context.Context, accountSid string, address domain.Address) (ownerID string, settings domain.Settings, err error) {
	err = inTx(ctx, d.pool, "sender", func(ctx context.Context, tx pgx.Tx) error {
		if ownerID, err = ownerOf(ctx, tx, accountSid, address); err != nil {
			return err
		}
		settings, err = settingsOf(ctx, tx, ownerID)
		return err
	})
	return ownerID, settings, err
}

// ResolveInbound returns the owner of a message that came to one of our addresses, with the owner's settings: whose sender the address is; else
// whose the messaging service is, where it came through one; else the only owner that the account's senders have. It returns KindNotFound where
// all three leave it open.
func (d *Directory) ResolveInbound(
	ctx context.Context, accountSid string, address domain.Address, service string,
) (ownerID string, settings domain.Settings, err error) {
	err = inTx(ctx, d.pool, "sender", func(ctx context.Context, tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, `
			SELECT owner_id FROM (SELECT coalesce(
				(SELECT owner_id FROM senders WHERE account_sid = $1 AND channel = $2 AND address = $3),
				(SELECT owner_id FROM senders WHERE account_sid = $1 AND channel = $4 AND address = $5),
				(SELECT min(owner_id) FROM senders WHERE account_sid = $1 HAVING count(DISTINCT owner_id) = 1)
			) AS owner_id) found WHERE owner_id IS NOT NULL`,
			accountSid, address.Channel, address.Value, domain.ChannelService, service).Scan(&ownerID); err != nil {
			return err
		}
		settings, err = settingsOf(ctx, tx, ownerID)
		return err
	})
	return ownerID, settings, err
}

func ownerOf(ctx context.Context, tx pgx.Tx, accountSid string, address domain.Address) (ownerID string, err error) {
	err = tx.QueryRow(ctx, `SELECT owner_id FROM senders WHERE account_sid = $1 AND channel = $2 AND address = $3`,
		accountSid, address.Channel, address.Value).Scan(&ownerID)
	return ownerID, err
}
