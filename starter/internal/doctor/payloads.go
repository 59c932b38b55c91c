package doctor

import (
	"context"
	"slices"

	"go.temporal.io/api/common/v1"
)

const payloads = "payloads"

// Codec reads what Temporal stores.
type Codec interface {
	Decode(payloads []*common.Payload) ([]*common.Payload, error)
	// Current reports whether a payload was encrypted with the key that payloads are encrypted with now.
	Current(payload *common.Payload) bool
}

// Payloads looks whether this process reads what the others wrote last, and whether they write with its key.
func Payloads(newest func(context.Context) ([]*common.Payload, error), codec Codec) Check {
	return Check{Name: payloads, Needs: []string{namespace, payloadKeyset}, Look: func(ctx context.Context) Finding {
		list, err := newest(ctx)
		if err != nil {
			return failed("try again; if it stays so, the server's log has the reason", "%s", err)
		}
		if len(list) == 0 {
			return found("there is no flow to tell by whether the other processes have the same keyset")
		}
		f := found("of the newest flows, read: %d", len(list))
		said := map[string]bool{}
		for _, payload := range list {
			if _, err := codec.Decode([]*common.Payload{payload}); err != nil && !said[err.Error()] {
				said[err.Error()] = true
				f.fail("give all processes the same PARLEY_PAYLOAD_KEYSET", "%s", err)
			}
		}
		if len(said) == 0 && !slices.ContainsFunc(list, codec.Current) {
			f.warn("where a key was made primary just now, ask again in two minutes; else give all processes the same PARLEY_PAYLOAD_KEYSET",
				"of the newest flows, nothing is encrypted with the key that this process encrypts with: the others have another primary key")
		}
		return f
	}}
}
