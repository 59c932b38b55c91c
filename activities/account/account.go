// Package account holds the steps of the account role: whose message is it, and what becomes of one that is nobody's.
package account

import (
	"context"

	"parley/contract"
	"parley/internal/domain"
)

// Directory knows our senders, and their owners' settings.
type Directory interface {
	// ResolveSender returns KindNotFound for an address that nobody registered.
	ResolveSender(ctx context.Context, accountSid string, address domain.Address) (ownerID string, settings domain.Settings, err error)
	// ResolveInbound returns the owner of a message that came to an address, through a messaging service if that is named: the address's, else the
	// service's, else the only one that senders of the account have. It returns KindNotFound where there is none of these.
	ResolveInbound(ctx context.Context, accountSid string, address domain.Address, service string) (ownerID string, settings domain.Settings, err error)
	// Settings returns KindNotFound where there is no such owner.
	Settings(ctx context.Context, ownerID string) (domain.Settings, error)
}

// Unrouted keeps messages that have no owner, or could not be stored.
type Unrouted interface {
	Keep(ctx context.Context, received domain.Received, reason string) error
}

// Activities are the steps of the account role.
type Activities struct {
	directory Directory
	unrouted  Unrouted
	fallback  string
}

// New returns the steps over a directory. Inbound messages that are nobody's are the owner's named fallback, for development; where it is empty,
// they have none.
func New(directory Directory, unrouted Unrouted, fallback string) *Activities {
	return &Activities{directory, unrouted, fallback}
}

// Resolve finds the owner of one of our addresses. It only reads. Where nobody owns it that is KindNotFound: the flow parks until somebody
// does.
func (a *Activities) Resolve(ctx context.Context, in contract.ResolveAccountInput) (contract.ResolveAccountResult, error) {
	address, err := domain.ParseAddress(in.Address)
	if err != nil {
		return contract.ResolveAccountResult{}, err
	}
	resolve := a.sender
	if in.Inbound {
		resolve = a.inbound
	}
	ownerID, settings, err := resolve(ctx, in, address)
	return contract.ResolveAccountResult{OwnerID: ownerID, Timing: settings.Timing, UnknownPeople: settings.UnknownPeople}, err
}

func (a *Activities) sender(ctx context.Context, in contract.ResolveAccountInput, address domain.Address) (string, domain.Settings, error) {
	ownerID, settings, err := a.directory.ResolveSender(ctx, in.AccountSid, address)
	if domain.KindOf(err) == domain.KindNotFound {
		err = domain.Errorf(domain.KindNotFound, "no owner has this address as a sender of account %s", in.AccountSid)
	}
	return ownerID, settings, err
}

func (a *Activities) inbound(ctx context.Context, in contract.ResolveAccountInput, address domain.Address) (string, domain.Settings, error) {
	ownerID, settings, err := a.directory.ResolveInbound(ctx, in.AccountSid, address, in.MessagingServiceSid)
	if domain.KindOf(err) != domain.KindNotFound {
		return ownerID, settings, err
	}
	if a.fallback == "" {
		return "", domain.Settings{}, domain.Errorf(domain.KindNotFound, "unroutable: no owner has this address%s as a sender of account %s, "+
			"whose senders are not all of one owner", orService(in.MessagingServiceSid), in.AccountSid)
	}
	settings, err = a.directory.Settings(ctx, a.fallback)
	if domain.KindOf(err) == domain.KindNotFound {
		err = domain.Errorf(domain.KindConfiguration, "the owner named for development does not exist: %s", a.fallback)
	}
	return a.fallback, settings, err
}

func orService(service string) string {
	if service == "" {
		return ""
	}
	return " or " + service
}

// KeepUnrouted keeps an inbound message that has no owner or could not be stored, for as long as it is not stored as an owner's. Key: (account, message sid).
func (a *Activities) KeepUnrouted(ctx context.Context, in contract.KeepUnroutedInput) (contract.Nothing, error) {
	return contract.Nothing{}, a.unrouted.Keep(ctx, in.Received, in.Reason)
}
