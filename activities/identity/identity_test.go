package identity_test

import (
	"context"
	"testing"

	"parley/activities/identity"
	"parley/contract"
	"parley/internal/domain"
)

type fakeContacts struct {
	err   error
	asked []any
}

var _ identity.Contacts = (*fakeContacts)(nil)

func (c *fakeContacts) ResolveContact(_ context.Context, ownerID string, address domain.Address, profileName string) (string, error) {
	c.asked = append(c.asked, ownerID, address, profileName)
	return "contact-1", c.err
}

func TestResolve(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		address string
		err     error
		kind    domain.Kind
		asked   domain.Address
	}{
		"a number":       {address: "+15550100002", asked: domain.Address{Channel: domain.ChannelSMS, Value: "+15550100002"}},
		"a WhatsApp id":  {address: "whatsapp:US.1234", asked: domain.Address{Channel: domain.ChannelWhatsApp, Value: "US.1234"}},
		"no database":    {address: "+15550100002", err: domain.Errorf(domain.KindUnavailable, "down"), kind: domain.KindUnavailable, asked: domain.Address{Channel: domain.ChannelSMS, Value: "+15550100002"}},
		"not an address": {address: "nobody at all!", kind: domain.KindInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			contacts := &fakeContacts{err: test.err}
			in := contract.ResolveIdentityInput{OwnerID: "owner-1", Address: test.address, ProfileName: "Ada"}
			got, err := identity.New(contacts).Resolve(t.Context(), in)
			if test.kind == "" && (err != nil || got.ContactID != "contact-1") || test.kind != "" && domain.KindOf(err) != test.kind {
				t.Errorf("got %+v, %v, want %q", got, err, test.kind)
			}
			if test.kind == domain.KindInvalid {
				if len(contacts.asked) > 0 {
					t.Errorf("asked for %v", contacts.asked)
				}
			} else if len(contacts.asked) != 3 || contacts.asked[0] != "owner-1" || contacts.asked[1] != test.asked || contacts.asked[2] != "Ada" {
				t.Errorf("asked for %v, want %+v", contacts.asked, test.asked)
			}
		})
	}
}
