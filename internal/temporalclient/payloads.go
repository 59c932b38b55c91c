package temporalclient

import (
	"bytes"
	"compress/zlib"
	"context"
	"fmt"
	"io"
	"sync"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/proto"

	"parley/internal/domain"
)

// Cipher encrypts payloads. The place keeps a ciphertext from being taken for one of another kind.
type Cipher interface {
	Encrypt(plain []byte, place string) ([]byte, error)
	Decrypt(ciphertext []byte, place string) ([]byte, error)
	Has(ciphertext []byte) bool     // the keyset has the key that it was made with
	Primary(ciphertext []byte) bool // it was made with the key that payloads are encrypted with now
}

const (
	encrypted = "binary/encrypted" // the encoding of a payload, where Temporal looks for it
	place     = "temporal/payload"

	// maxInflated is the most that a compressed payload may grow to, in bytes: twice what Temporal takes as one.
	maxInflated = 4 << 20
	// Below it compression gains nothing.
	leastCompressed = 128
)

// What stands before an encrypted payload says how to read it.
const (
	markPlain byte = iota
	markZlib
)

// Codec compresses and encrypts payloads. What is not encrypted is read as it is: an operator may type a signal in the UI.
type Codec struct {
	cipher      Cipher
	compressors *sync.Pool // a new one takes a megabyte
	wait        bool       // for a key that is missing: see NewDataConverter
}

// NewCodec returns the codec over a cipher.
func NewCodec(cipher Cipher) *Codec {
	return &Codec{cipher: cipher, compressors: &sync.Pool{New: func() any { return zlib.NewWriter(nil) }}}
}

// Encode implements converter.PayloadCodec.
func (c *Codec) Encode(payloads []*common.Payload) ([]*common.Payload, error) {
	return each(payloads, c.encode)
}

// Decode implements converter.PayloadCodec. It returns KindConfiguration for a payload that does not decrypt, and KindInvalid for one that
// no process of ours has written.
func (c *Codec) Decode(payloads []*common.Payload) ([]*common.Payload, error) {
	return each(payloads, c.decode)
}

// Current reports whether a payload was encrypted with the key that payloads are encrypted with now.
func (c *Codec) Current(payload *common.Payload) bool {
	return isEncrypted(payload) && c.cipher.Primary(payload.GetData())
}

func isEncrypted(payload *common.Payload) bool {
	return string(payload.GetMetadata()[converter.MetadataEncoding]) == encrypted
}

func each(payloads []*common.Payload, one func(*common.Payload) (*common.Payload, error)) ([]*common.Payload, error) {
	list := make([]*common.Payload, len(payloads))
	for i, payload := range payloads {
		var err error
		if list[i], err = one(payload); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (c *Codec) encode(payload *common.Payload) (*common.Payload, error) {
	plain, err := proto.Marshal(payload)
	if err != nil {
		return nil, domain.Errorf(domain.KindInternal, "payload: %w", err)
	}
	ciphertext, err := c.cipher.Encrypt(c.compress(plain), place)
	if err != nil {
		return nil, err
	}
	return &common.Payload{Metadata: map[string][]byte{converter.MetadataEncoding: []byte(encrypted)}, Data: ciphertext}, nil
}

func (c *Codec) decode(payload *common.Payload) (*common.Payload, error) {
	if !isEncrypted(payload) {
		return payload, nil
	}
	plain, err := c.cipher.Decrypt(payload.GetData(), place)
	if err != nil && c.wait {
		if !c.cipher.Has(payload.GetData()) {
			panic(fmt.Sprintf("payload: %v", err))
		}
		plain, err = c.cipher.Decrypt(payload.GetData(), place) // the key may have come meanwhile
	}
	if err != nil {
		return nil, err
	}
	if plain, err = inflate(plain); err != nil {
		return nil, err
	}
	var decoded common.Payload
	if err := proto.Unmarshal(plain, &decoded); err != nil {
		return nil, domain.Errorf(domain.KindInvalid, "payload: what was decrypted is none")
	}
	return &decoded, nil
}

// compress returns a mark and what it is about, compressed where that makes it shorter.
func (c *Codec) compress(plain []byte) []byte {
	if len(plain) < leastCompressed || len(plain) > maxInflated {
		return append([]byte{markPlain}, plain...)
	}
	if w, ok := c.compressors.Get().(*zlib.Writer); ok {
		var short bytes.Buffer
		short.WriteByte(markZlib)
		defer c.compressors.Put(w)
		w.Reset(&short)
		_, err := w.Write(plain)
		if closing := w.Close(); err == nil && closing == nil && short.Len() <= len(plain) {
			return short.Bytes()
		}
	}
	return append([]byte{markPlain}, plain...)
}

// inflate undoes compress. It returns KindInvalid for what compress has not made, and for what would grow over all bounds.
func inflate(marked []byte) ([]byte, error) {
	if len(marked) == 0 {
		return nil, domain.Errorf(domain.KindInvalid, "payload: it is empty")
	}
	switch rest := marked[1:]; marked[0] {
	case markPlain:
		return rest, nil
	case markZlib:
		r, err := zlib.NewReader(bytes.NewReader(rest))
		if err != nil {
			return nil, domain.Errorf(domain.KindInvalid, "payload: it cannot be inflated")
		}
		plain, err := io.ReadAll(io.LimitReader(r, maxInflated+1))
		if err != nil {
			return nil, domain.Errorf(domain.KindInvalid, "payload: it cannot be inflated")
		}
		if len(plain) > maxInflated {
			return nil, domain.Errorf(domain.KindInvalid, "payload: it is longer than %d bytes", maxInflated)
		}
		return plain, nil
	default:
		return nil, domain.Errorf(domain.KindInvalid, "payload: it is compressed in a way that this version does not know")
	}
}

// NewDataConverter returns the converter of all that Parley gives to Temporal and gets from it.
//
// A workflow that meets a payload whose key this process does not have (yet) does not go on: its task fails, and is tried again by whoever has the
// key. As an error it would end the flow.
func NewDataConverter(cipher Cipher) converter.DataConverter {
	codec := NewCodec(cipher)
	return &dataConverter{converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), codec), codec}
}

type dataConverter struct {
	converter.DataConverter
	codec *Codec
}

var _ workflow.ContextAware = (*dataConverter)(nil)

// WithWorkflowContext implements workflow.ContextAware.
func (d *dataConverter) WithWorkflowContext(workflow.Context) converter.DataConverter {
	waiting := *d.codec
	waiting.wait = true
	return converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), &waiting)
}

// WithContext implements workflow.ContextAware, for activities and clients.
func (d *dataConverter) WithContext(context.Context) converter.DataConverter { return d }

// newFailureConverter returns the converter that encrypts what failures say. Their types, Parley's error kinds, stay readable.
func newFailureConverter(payloads converter.DataConverter) converter.FailureConverter {
	return temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{DataConverter: payloads, EncodeCommonAttributes: true})
}
