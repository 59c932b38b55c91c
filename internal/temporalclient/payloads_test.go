package temporalclient_test

import (
	"bytes"
	"compress/zlib"
	"errors"
	"strings"
	"testing"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/proto"

	"parley/internal/domain"
	"parley/internal/secrets"
	"parley/internal/temporalclient"
)

func generate(t *testing.T) string {
	t.Helper()
	keyset, err := secrets.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return keyset
}

func cipherOf(t *testing.T, keyset string) *secrets.Cipher {
	t.Helper()
	cipher, err := secrets.Load("PARLEY_PAYLOAD_KEYSET", keyset, "")
	if err != nil {
		t.Fatal(err)
	}
	return cipher
}

func newCipher(t *testing.T) *secrets.Cipher { t.Helper(); return cipherOf(t, generate(t)) }

// message is a payload as the flows have them.
type message struct {
	From, Body string
}

func TestPayloadsAreEncryptedAndReadAgain(t *testing.T) {
	t.Parallel()
	payloads := temporalclient.NewDataConverter(newCipher(t))
	for name, body := range map[string]string{"short": "hello", "empty": "", "long": strings.Repeat("The code of the safe is 4711. ", 200), "no text": string([]byte{0, 255, 1})} {
		want := message{"+15550002222", body}
		payload, err := payloads.ToPayload(want)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := proto.Marshal(payload)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(raw, []byte("5550002222")) || bytes.Contains(raw, []byte("4711")) || bytes.Contains(raw, []byte("json")) {
			t.Errorf("%s: the payload holds what it is about: %s", name, raw)
		}
		var got message
		if err := payloads.FromPayload(payload, &got); err != nil || (got != want && name != "no text") {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
		if plain, err := converter.GetDefaultDataConverter().ToPayload(want); err != nil || (name == "long" && len(payload.GetData()) > len(plain.GetData())/4) {
			t.Errorf("%s: %d bytes of %d", name, len(payload.GetData()), len(plain.GetData()))
		}
	}
}

// An operator types a signal in the UI, or gives one to the stock command line.
func TestAPayloadInClearIsRead(t *testing.T) {
	t.Parallel()
	clear, err := converter.GetDefaultDataConverter().ToPayload(message{Body: "typed"})
	if err != nil {
		t.Fatal(err)
	}
	var got message
	if err := temporalclient.NewDataConverter(newCipher(t)).FromPayload(clear, &got); err != nil || got.Body != "typed" {
		t.Errorf("got %+v, %v", got, err)
	}
}

// What was written before a key was promoted is read after it, and what is written after it by whoever has the added key.
func TestPayloadKeysRotate(t *testing.T) {
	t.Parallel()
	first := generate(t)
	added, _, err := secrets.AddKey(first)
	if err != nil {
		t.Fatal(err)
	}
	promoted, _, err := secrets.Promote(added)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ writes, reads string }{
		"an old payload, after": {first, promoted}, "a new payload, before": {promoted, added},
	} {
		payload, err := temporalclient.NewDataConverter(cipherOf(t, c.writes)).ToPayload("hello")
		if err != nil {
			t.Fatal(err)
		}
		var got string
		if err := temporalclient.NewDataConverter(cipherOf(t, c.reads)).FromPayload(payload, &got); err != nil || got != "hello" {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

// encryptedPayload is a payload with a right key and any content.
func encryptedPayload(t *testing.T, cipher *secrets.Cipher, content []byte) *common.Payload {
	t.Helper()
	ciphertext, err := cipher.Encrypt(content, "temporal/payload")
	if err != nil {
		t.Fatal(err)
	}
	return &common.Payload{Metadata: map[string][]byte{"encoding": []byte("binary/encrypted")}, Data: ciphertext}
}

func TestPayloadsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	cipher := newCipher(t)
	var bomb bytes.Buffer
	bomb.WriteByte(1)
	w := zlib.NewWriter(&bomb)
	_, _ = w.Write(make([]byte, 64<<20))
	_ = w.Close()
	altered := encryptedPayload(t, cipher, []byte{0})
	altered.Data[len(altered.Data)-1] ^= 1
	for name, c := range map[string]struct {
		payload *common.Payload
		kind    domain.Kind
	}{
		"another keyset":   {encryptedPayload(t, newCipher(t), []byte{0}), domain.KindConfiguration},
		"altered":          {altered, domain.KindConfiguration},
		"no ciphertext":    {&common.Payload{Metadata: map[string][]byte{"encoding": []byte("binary/encrypted")}}, domain.KindConfiguration},
		"a bomb":           {encryptedPayload(t, cipher, bomb.Bytes()), domain.KindInvalid},
		"cut short":        {encryptedPayload(t, cipher, bomb.Bytes()[:100]), domain.KindInvalid},
		"not compressed":   {encryptedPayload(t, cipher, []byte("\x01plain")), domain.KindInvalid},
		"nothing":          {encryptedPayload(t, cipher, nil), domain.KindInvalid},
		"a mark of later":  {encryptedPayload(t, cipher, []byte{9, 9}), domain.KindInvalid},
		"not of any shape": {encryptedPayload(t, cipher, []byte("\x00\xff\xff")), domain.KindInvalid},
	} {
		_, err := temporalclient.NewCodec(cipher).Decode([]*common.Payload{c.payload})
		if failure, ok := errors.AsType[*domain.Error](err); !ok || failure.Kind != c.kind {
			t.Errorf("%s: got %v, want %s", name, err, c.kind)
		}
	}
}

// A workflow whose worker does not have the key waits for one that has; as an error it would end. What is altered no key mends.
func TestAWorkflowWaitsForAKey(t *testing.T) {
	t.Parallel()
	cipher := newCipher(t)
	inWorkflow := temporalclient.NewDataConverter(cipher).(workflow.ContextAware).WithWorkflowContext(nil)
	read := func(payload *common.Payload) (err error, panicked bool) { //nolint:revive // as it is checked
		defer func() { panicked = recover() != nil }()
		var got string
		return inWorkflow.FromPayload(payload, &got), false
	}
	if _, panicked := read(encryptedPayload(t, newCipher(t), []byte{0})); !panicked {
		t.Error("a missing key does not hold the workflow up")
	}
	altered := encryptedPayload(t, cipher, []byte{0})
	altered.Data[len(altered.Data)-1] ^= 1
	if err, panicked := read(altered); panicked || err == nil {
		t.Errorf("an altered payload: %v, held up %v", err, panicked)
	}
}

func TestFailuresAreEncryptedButForTheirType(t *testing.T) {
	t.Parallel()
	options, err := temporalclient.Options(environment(t, map[string]string{}), newCipher(t), logger(), nil)
	if err != nil {
		t.Fatal(err)
	}
	failure := options.FailureConverter.ErrorToFailure(temporal.NewApplicationError("about +15550002222", string(domain.KindConfiguration)))
	raw, err := proto.Marshal(failure)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(raw, []byte("5550002222")) || !bytes.Contains(raw, []byte(domain.KindConfiguration)) {
		t.Errorf("the failure is stored as %s", raw)
	}
	application, ok := errors.AsType[*temporal.ApplicationError](options.FailureConverter.FailureToError(failure))
	if !ok || application.Message() != "about +15550002222" || application.Type() != string(domain.KindConfiguration) {
		t.Errorf("read again as %v", application)
	}
}
