package edge

import (
	"context"

	"github.com/gin-gonic/gin"

	"parley/internal/domain"
	"parley/internal/twilio"
)

// places are what the requests that are being handled take, one each. A request takes its place once it is all there, so that slow clients
// take none.
type places chan struct{}

func (p places) take() bool {
	select {
	case p <- struct{}{}:
		return true
	default:
		return false
	}
}

func (p places) leave() { <-p }

// errFull is a request for which there is no place. Handling it late would help nobody: Twilio waits 15 s, then it is gone.
func errFull() error {
	return domain.Errorf(domain.KindBusy, "too many requests at once: PARLEY_MAX_IN_FLIGHT are being handled")
}

// placesFor are those of a request's kind. Statuses wait for the database, and so may whoever names an account that is not remembered: while
// that hangs they take no place of messages that need not wait for it.
func (e *edge) placesFor(r *request) places {
	switch {
	case !e.accounts.Remembers(r.accountSid):
		return e.newcomers
	case r.path == twilio.StatusPath:
		return e.updates
	default:
		return e.places
	}
}

// process reads a request, and where there is a place it verifies and handles it.
func (e *edge) process(ctx context.Context, c *gin.Context, r *request, handle func(context.Context, *request) error) error {
	if err := r.read(c.Writer, c.Request); err != nil {
		return err
	}
	places := e.placesFor(r)
	if !places.take() {
		return errFull()
	}
	defer places.leave()
	if err := e.verify(ctx, c, r); err != nil {
		return err
	}
	return handle(ctx, r)
}
