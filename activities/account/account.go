// Package account holds the steps of the account role: whose message is it.
package account

import (
	"context"

	"parley/contract"
	"parley/internal/domain"
)

// Directory knows our senders. ResolveSender returns KindNotFound for an address that nobody registered.
type Directory interface {
	ResolveSender(ctx context.Context, accountSid string, address domain.Address) (ownerID string, settings domain.Settings, err error)
}

// Activities are the steps of the account role.
type Activities struct{ directory Directory }

// New returns the steps over a directory.
func New(directory Directory) *Activities { return &Activities{directory} }

// Resolve finds the owner of one of our addresses: the account and the address exactly. It only reads. An address that
// nobody registered is KindNotFound: the flow parks until somebody adds it.
func (a *Activities) Resolve(ctx context.Context, in contract.ResolveAccountInput) (contract.ResolveAccountResult, error) {
	address, err := domain.ParseAddress(in.Address)
	if err != nil {
		return contract.ResolveAccountResult{}, err
	}
	ownerID, settings, err := a.directory.ResolveSender(ctx, in.AccountSid, address)
	if domain.KindOf(err) == domain.KindNotFound {
		return contract.ResolveAccountResult{}, domain.Errorf(domain.KindNotFound, "no owner has this address as a sender of account %s", in.AccountSid)
	}
	return contract.ResolveAccountResult{OwnerID: ownerID, Timing: settings.Timing, UnknownPeople: settings.UnknownPeople}, err
}
