package postgres

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/internal/domain"
)

// ResolveContact returns the contact behind the addresses of a person, who is added where they are new, and whether the owner has registered
// them. Key: (owner, channel, address). A profile name is kept until another comes.
func (m *Messages) ResolveContact(ctx context.Context, ownerID string, person domain.Person) (contactID string, registered bool, err error) {
	err = inTx(ctx, m.pool, "contact", func(ctx context.Context, tx pgx.Tx) error {
		contactID, registered, err = meet(ctx, tx, ownerID, person)
		return err
	})
	return contactID, registered, err
}

// acquaintance is the contact that an address belongs to.
type acquaintance struct {
	Address    string
	ContactID  string
	Registered bool
}

// meet finds or adds the contact behind the addresses of a person, and makes one of two that turn out to be the same.
//
// It always writes: RecordInbound and ResolveContact do it for the same person at the same time, and a row that the other has not committed
// yet can only be waited for. Rows are locked in the order of the addresses.
func meet(ctx context.Context, tx pgx.Tx, ownerID string, person domain.Person) (contactID string, registered bool, err error) {
	addresses := []string{person.Address.Value}
	if person.Other != nil {
		addresses = append(addresses, person.Other.Value)
	}
	ids := make([]string, len(addresses))
	for i := range ids {
		if ids[i], err = newID(); err != nil {
			return "", false, err
		}
	}
	met, err := collect[acquaintance](ctx, tx, `
		WITH met AS (
			INSERT INTO contacts (contact_id, owner_id, channel, address, profile_name)
			SELECT id, $1, $2, address, $5 FROM unnest($3::text[], $4::text[]) AS seen (id, address) ORDER BY address
			ON CONFLICT (owner_id, channel, address) DO UPDATE
			SET profile_name = coalesce(nullif(excluded.profile_name, ''), contacts.profile_name)
			RETURNING address, person_id
		)
		SELECT met.address, person_id, EXISTS (SELECT FROM contacts c WHERE c.contact_id = met.person_id AND c.registered_at IS NOT NULL) FROM met`,
		ownerID, person.Address.Channel, ids, addresses, text(person.ProfileName))
	if err != nil {
		return "", false, err
	}
	one := met[0]
	for _, other := range met[1:] {
		if other.ContactID != one.ContactID {
			return join(ctx, tx, ownerID, person.Address, one.ContactID, other.ContactID)
		}
	}
	return one.ContactID, one.Registered, nil
}

// join makes one contact of two whose addresses were seen together, with all that was said: the older one stays. Consent needs nothing: it
// is asked for by all addresses of a contact. Running it twice is harmless.
//
// Two ids of WhatsApp's stay two people: a number that comes with another id than before may have got another holder, who must not be shown
// what was said before.
func join(ctx context.Context, tx pgx.Tx, ownerID string, address domain.Address, contactIDs ...string) (contactID string, registered bool, err error) {
	type row struct {
		ContactID, PersonID, Address, Name string
		RegisteredAt                       *time.Time
	}
	rows, err := collect[row](ctx, tx, `
		SELECT contact_id, person_id, address, name, registered_at FROM contacts
		WHERE owner_id = $1 AND person_id = ANY ($2) ORDER BY contact_id FOR NO KEY UPDATE`, ownerID, contactIDs)
	if err != nil {
		return "", false, err
	}
	var addresses, ids []string
	kept := row{ContactID: rows[0].ContactID}
	for _, r := range rows {
		addresses = append(addresses, r.Address)
		if (domain.Address{Channel: address.Channel, Value: r.Address}).IsID() {
			ids = append(ids, r.Address)
		}
		if r.Address == address.Value {
			contactID = r.PersonID
		}
		kept.Name = cmp.Or(kept.Name, r.Name)
		kept.RegisteredAt = cmp.Or(kept.RegisteredAt, r.RegisteredAt)
	}
	if len(ids) > 1 {
		apart := slices.IndexFunc(rows, func(r row) bool { return r.ContactID == contactID })
		return contactID, rows[apart].RegisteredAt != nil, nil
	}
	if _, err := tx.Exec(ctx, `
		UPDATE contacts SET merged_into = nullif($2, contact_id), name = CASE contact_id WHEN $2 THEN $3 ELSE '' END,
			registered_at = CASE contact_id WHEN $2 THEN $4::timestamptz END
		WHERE person_id = ANY ($1)`, contactIDs, kept.ContactID, kept.Name, kept.RegisteredAt); err != nil {
		return "", false, err
	}
	for _, history := range []string{"messages", "conversations"} {
		if _, err := tx.Exec(ctx, `
			UPDATE `+history+` h SET contact_id = $4 FROM pairs p
			WHERE p.owner_id = $1 AND p.channel = $2 AND p.their_address = ANY ($3) AND h.pair_id = p.pair_id AND h.contact_id <> $4`,
			ownerID, address.Channel, addresses, kept.ContactID); err != nil {
			return "", false, err
		}
	}
	return kept.ContactID, kept.RegisteredAt != nil, nil
}

// theContact selects contacts as people see them; a condition on k, the row that the others are merged into, follows.
const theContact = `
	SELECT k.contact_id, every.addresses, k.name, every.profile_name, k.registered_at, k.created_at, said.messages, said.last_at
	FROM contacts k CROSS JOIN LATERAL (
		SELECT array_agg(CASE c.channel WHEN 'sms' THEN c.address ELSE c.channel || ':' || c.address END ORDER BY c.contact_id) AS addresses,
			(array_agg(c.profile_name ORDER BY c.profile_name = '', c.contact_id))[1] AS profile_name
		FROM contacts c WHERE c.person_id = k.contact_id
	) every CROSS JOIN LATERAL (
		SELECT count(*) AS messages, max(m.received_at) AS last_at
		FROM contacts c JOIN pairs p ON p.owner_id = c.owner_id AND p.channel = c.channel AND p.their_address = c.address
			JOIN messages m ON m.pair_id = p.pair_id AND m.direction = 'inbound'
		WHERE c.person_id = k.contact_id
	) said
	WHERE k.owner_id = $1 AND k.merged_into IS NULL AND `

// Contacts returns the latest contacts of an owner, the newest first; only those whom nobody registered where unregistered is set.
func (m *Messages) Contacts(ctx context.Context, ownerID string, unregistered bool, limit int) ([]domain.Contact, error) {
	return list[domain.Contact](ctx, m.pool, "contacts", theContact+`(k.registered_at IS NULL OR NOT $2) ORDER BY k.contact_id DESC LIMIT $3`,
		ownerID, unregistered, limit)
}

// Contact returns the contact behind an address, or KindNotFound.
func (m *Messages) Contact(ctx context.Context, ownerID string, address domain.Address) (domain.Contact, error) {
	return one[domain.Contact](ctx, m.pool, "contact", theContact+`k.contact_id = (
		SELECT person_id FROM contacts WHERE owner_id = $1 AND channel = $2 AND address = $3)`, ownerID, address.Channel, address.Value)
}

// SetContact notes what an operator says of the person behind an address, who is added where they are new. Registering somebody twice keeps
// the first time. It returns KindNotFound without such an owner.
func (m *Messages) SetContact(ctx context.Context, ownerID string, address domain.Address, change domain.ContactChange) error {
	return inTx(ctx, m.pool, "contact", func(ctx context.Context, tx pgx.Tx) error {
		contactID, _, err := meet(ctx, tx, ownerID, domain.Person{Address: address})
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			UPDATE contacts SET name = coalesce($3, name),
				registered_at = CASE $4::boolean WHEN true THEN coalesce(registered_at, now()) WHEN false THEN NULL ELSE registered_at END
			WHERE owner_id = $1 AND contact_id = $2`, ownerID, contactID, storableName(change.Name), change.Registered)
		return err
	})
}

func storableName(name *string) *string {
	if name == nil {
		return nil
	}
	stored := text(*name)
	return &stored
}
