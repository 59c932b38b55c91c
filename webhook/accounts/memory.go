package accounts

import (
	"context"
	"time"

	"golang.org/x/sync/singleflight"

	"parley/internal/domain"
)

// Bounds of a question to the store.
const (
	loadTimeout = 2 * time.Second // one row by its key, or the list
	askAgain    = time.Second     // after one that was not answered: till then that is the answer
)

// listKey is the list's among the sids.
const listKey = ""

// memory is what the store said last. Cache.mu guards it.
type memory[T any] struct {
	value    T
	loadedAt time.Time // zero: never
	askedAt  time.Time
	problem  error // of the last question; nil where it was answered
}

// loadedWithin reports whether the value was loaded within a time before now.
func (m *memory[T]) loadedWithin(within time.Duration, now time.Time) bool {
	return !m.loadedAt.IsZero() && now.Sub(m.loadedAt) < within
}

// keep remembers an answer. A value outlives a question that was not answered.
func (m *memory[T]) keep(value T, problem error, now time.Time) {
	m.askedAt, m.problem = now, problem
	if problem == nil {
		m.value, m.loadedAt = value, now
	}
}

// ask has the store asked, and waits for its answer.
func ask[T any](ctx context.Context, c *Cache, key string, m *memory[T], load func(context.Context) (T, error)) (T, error) {
	var none T
	select {
	case answer := <-question(ctx, c, key, m, load):
		if answer.Err != nil {
			return none, answer.Err
		}
		return answer.Val.(T), nil //nolint:forcetypeassert // what load returned
	case <-ctx.Done():
		return none, domain.Errorf(domain.KindUnavailable, "account: the database did not answer in time: %w", ctx.Err())
	}
}

// question has the store asked and its answer remembered. Whoever asks for the same meanwhile gets the same answer; nobody asks again at
// once where there was none. The question outlives who asked: others wait for it.
func question[T any](ctx context.Context, c *Cache, key string, m *memory[T], load func(context.Context) (T, error)) <-chan singleflight.Result {
	return c.loading.DoChan(key, func() (any, error) {
		c.mu.Lock()
		problem, since := m.problem, c.now().Sub(m.askedAt)
		c.mu.Unlock()
		if problem != nil && since < askAgain {
			return nil, problem
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
		defer cancel()
		value, err := load(ctx)
		c.counts.load(ctx, key, err)
		c.mu.Lock()
		defer c.mu.Unlock()
		m.keep(value, err, c.now())
		return value, err
	})
}
