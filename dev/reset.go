package main

import (
	"context"
	"errors"
	"os"

	"parley/internal/localstack"
)

// reset removes all that dev keeps for the checkout: its state, Temporal's data, Postgres's data wherever it lies, and
// its tables in a database that it was given. It refuses while a dev runs.
func (d *dev) reset(ctx context.Context) error {
	lock, err := d.lock(ctx)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if given := d.getenv(localstack.DevDatabaseVariable); given != "" {
		if err := localstack.ReleaseDatabase(ctx, given); err != nil {
			return err
		}
		d.out.Say("removed Parley's tables from %s", localstack.Redact(given))
	}
	if given := d.getenv(localstack.TemporalVariable); given != "" {
		d.out.Say("the namespace %s of %s stays: remove it with its own tools", namespace, given)
	}
	user, err := localstack.ServerUser()
	if err != nil {
		return err
	}
	err = errors.Join(localstack.RemovePostgresData(d.checkout, user), os.RemoveAll(d.path()))
	if err == nil {
		d.out.Say("removed all state of %s", d.checkout)
	}
	return err
}
