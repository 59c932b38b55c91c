package doctor_test

import (
	"context"
	"testing"

	"go.temporal.io/api/common/v1"

	"parley/internal/domain"
	"parley/starter/internal/doctor"
)

// codec reads a payload that holds its key, and writes with another of its keys.
type codec struct{ reads, writes string }

var _ doctor.Codec = codec{}

func (c codec) Decode(list []*common.Payload) ([]*common.Payload, error) {
	for _, payload := range list {
		if key := string(payload.GetData()); key != c.reads && key != c.writes {
			return nil, domain.Errorf(domain.KindConfiguration, "no key %s", key)
		}
	}
	return list, nil
}

func (c codec) Current(payload *common.Payload) bool { return string(payload.GetData()) == c.writes }

func TestPayloads(t *testing.T) {
	t.Parallel()
	newest := func(err error, keys ...string) doctor.Result {
		return look(t, doctor.Payloads(func(context.Context) (list []*common.Payload, _ error) {
			for _, key := range keys {
				list = append(list, &common.Payload{Data: []byte(key)})
			}
			return list, err
		}, codec{reads: "old", writes: "new"}))
	}
	want(t, newest(nil), doctor.OK, "no flow")
	want(t, newest(nil, "old", "new"), doctor.OK, "2")
	want(t, newest(nil, "old", "old"), doctor.Warning, "another primary key", "PARLEY_PAYLOAD_KEYSET")
	want(t, newest(domain.Errorf(domain.KindUnavailable, "gone")), doctor.Failed, "gone")
	got := newest(nil, "new", "other", "other")
	want(t, got, doctor.Failed, "no key other", "PARLEY_PAYLOAD_KEYSET")
	if len(got.Problems) != 1 {
		t.Errorf("the same is said of every payload: %+v", got.Problems)
	}
}

func TestPayloadKeyset(t *testing.T) {
	t.Parallel()
	load := func(err error, same bool) doctor.Check {
		return doctor.PayloadKeyset(func() error { return err }, func() bool { return same })
	}
	want(t, look(t, load(nil, false)), doctor.OK, "loads")
	want(t, look(t, load(nil, true)), doctor.Warning, "shares a key", "keygen")
	want(t, look(t, load(domain.Errorf(domain.KindConfiguration, "no such file"), true)), doctor.Failed, "no such file", "backup")
}
