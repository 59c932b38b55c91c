package edge

import (
	"context"

	"github.com/gin-gonic/gin"

	"parley/internal/domain"
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

// placesFor are those of a request's account. Whoever names one that is not remembered may have to wait for the database: while that hangs,
// strangers who wait take no place of those who need not.
func (e *edge) placesFor(r *request) places {
	if e.accounts.Remembers(r.accountSid) {
		return e.places
	}
	return e.newcomers
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
