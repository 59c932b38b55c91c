package identity_test

import (
	"context"
	"reflect"
	"testing"

	"parley/activities/identity"
	"parley/contract"
	"parley/internal/domain"
)

type fakeContacts struct {
	err   error
	asked []asked
}

type asked struct {
	ownerID string
	person  domain.Person
}

var _ identity.Contacts = (*fakeContacts)(nil)

func (c *fakeContacts) ResolveContact(_ context.Context, ownerID string, person domain.Person) (string, bool, error) {
	c.asked = append(c.asked, asked{ownerID, person})
	return "contact-1", true, c.err
}

func TestResolve(t *testing.T) {
	t.Parallel()
	id := domain.Address{Channel: domain.ChannelWhatsApp, Value: "US.1234"}
	for name, test := range map[string]struct {
		address, other string
		err            error
		kind           domain.Kind
		asked          domain.Address
		askedOther     *domain.Address
	}{
		"a number":       {address: "+15550100002", asked: domain.Address{Channel: domain.ChannelSMS, Value: "+15550100002"}},
		"a WhatsApp id":  {address: "whatsapp:US.1234", asked: id},
		"both":           {address: "whatsapp:+15550100002", other: id.String(), asked: domain.Address{Channel: domain.ChannelWhatsApp, Value: "+15550100002"}, askedOther: &id},
		"no database":    {address: "+15550100002", err: domain.Errorf(domain.KindUnavailable, "down"), kind: domain.KindUnavailable, asked: domain.Address{Channel: domain.ChannelSMS, Value: "+15550100002"}},
		"not an address": {address: "fax:1", kind: domain.KindInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			contacts := &fakeContacts{err: test.err}
			in := contract.ResolveIdentityInput{OwnerID: "owner-1", Address: test.address, OtherAddress: test.other, ProfileName: "Ada"}
			got, err := identity.New(contacts).Resolve(t.Context(), in)
			if test.kind == "" && (err != nil || got != contract.ResolveIdentityResult{ContactID: "contact-1", Registered: true}) || test.kind != "" && domain.KindOf(err) != test.kind {
				t.Errorf("got %+v, %v, want %q", got, err, test.kind)
			}
			if test.kind == domain.KindInvalid {
				if len(contacts.asked) > 0 {
					t.Errorf("asked for %v", contacts.asked)
				}
			} else if want := (asked{"owner-1", domain.Person{Address: test.asked, Other: test.askedOther, ProfileName: "Ada"}}); !reflect.DeepEqual(contacts.asked, []asked{want}) {
				t.Errorf("asked for %+v, want %+v", contacts.asked, want)
			}
		})
	}
}
