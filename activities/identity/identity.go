// Package identity holds the steps of the identity role: who is behind an address.
package identity

import (
	"context"

	"parley/contract"
	"parley/internal/domain"
)

// Contacts knows the people. Key: (owner, channel, address).
type Contacts interface {
	ResolveContact(ctx context.Context, ownerID string, person domain.Person) (contactID string, registered bool, err error)
}

// Activities are the steps of the identity role.
type Activities struct{ contacts Contacts }

// New returns the steps over the contacts.
func New(contacts Contacts) *Activities { return &Activities{contacts} }

// Resolve returns the contact behind an address, or behind two that are seen together, who is added where they are new. Key: (owner,
// channel, address).
func (a *Activities) Resolve(ctx context.Context, in contract.ResolveIdentityInput) (contract.ResolveIdentityResult, error) {
	person, err := domain.NewPerson(in.Address, in.OtherAddress, in.ProfileName)
	if err != nil {
		return contract.ResolveIdentityResult{}, err
	}
	contactID, registered, err := a.contacts.ResolveContact(ctx, in.OwnerID, person)
	return contract.ResolveIdentityResult{ContactID: contactID, Registered: registered}, err
}
