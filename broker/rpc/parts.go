package rpc

import (
	"fmt"

	"github.com/reprise-mq/reprise/broker/api"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxParts is how many messages, texts and byte strings a client's message may be made of:
// more than any request with a meaning. Two bytes can be an empty one of each, which takes
// some hundred bytes once decoded; so a message of MaxMessage bytes could be more than a
// gigabyte, which would be there before anybody has looked at what it asks for.
const maxParts = 1 << 18

// Unmarshal decodes a message; what a client has sent, only if it is of no more than maxParts.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	switch m := v.(type) {
	case *Requests, *api.Request:
		whole := data.MaterializeToBuffer(mem.DefaultBufferPool())
		defer whole.Free()
		left := maxParts
		if count(whole.ReadOnlyData(), m.(proto.Message).ProtoReflect().Descriptor(), &left); left < 0 {
			return fmt.Errorf("the message is made of more than %d parts", maxParts)
		}
		data = mem.BufferSlice{whole}
	}
	return c.CodecV2.Unmarshal(data, v)
}

// count takes the parts of an encoded message from what is left, as long as there is any.
// What is malformed is for the decoder to say.
func count(b []byte, m protoreflect.MessageDescriptor, left *int) {
	fields := m.Fields()
	for len(b) > 0 && *left >= 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return
		}
		b = b[n:]
		if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
			return
		}
		if kind == protowire.BytesType {
			*left--
			field, part := fields.ByNumber(number), b[:n]
			switch {
			case field == nil:
			case field.Message() != nil:
				part, _ = protowire.ConsumeBytes(part)
				count(part, field.Message(), left)
			case field.IsPacked():
				*left -= len(part) / 16 // numbers take eight times as much, at most
			}
		}
		b = b[n:]
	}
}
