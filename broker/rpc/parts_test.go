package rpc

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// empties are so many empty requests.
func empties(n int) []byte { return bytes.Repeat([]byte{1<<3 | 2, 0}, n) }

// A message is decoded unless it is made of more parts than any with a meaning, however deep
// they are and in how many pieces it came.
func TestPartsOfAMessage(t *testing.T) {
	topics := func(n int) []byte {
		m := &api.MetadataRequest{}
		for i := range n {
			m.Topics = append(m.Topics, &api.TopicRef{Name: fmt.Sprint("topic-", i)})
		}
		b, err := proto.Marshal(&Requests{Requests: []*api.Request{{Body: &api.Request_Metadata{Metadata: m}}}})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":              {nil, ""},
		"as many as there may": {empties(maxParts), ""},
		"one more":             {empties(maxParts + 1), "the message is made of more than 262144 parts"},
		"all topics there may": {topics(65_536), ""},
		"more of them":         {topics(maxParts / 2), "the message is made of more than 262144 parts"},
		"malformed":            {append(empties(3), 1<<3|2, 200), "cannot parse"},
	} {
		half := len(c.data) / 2
		data := mem.BufferSlice{mem.SliceBuffer(c.data[:half]), mem.SliceBuffer(c.data[half:])}
		err := newCodec().Unmarshal(data, &Requests{})
		if (err != nil) != (c.want != "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	// What nodes send each other has many parts.
	if err := newCodec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(empties(maxParts + 1))}, &Responses{}); err != nil {
		t.Errorf("another message: %v", err)
	}
}

// A client hears why its link has ended.
func TestLinkOfTooManyParts(t *testing.T) {
	s := serve(t)
	link := s.link()
	m := &Requests{}
	for range maxParts + 1 {
		m.Requests = append(m.Requests, &api.Request{})
	}
	if err := link.Send(m); err != nil {
		t.Fatal(err)
	}
	if _, err := link.Recv(); status.Code(err) == codes.OK || s.count() > 0 {
		t.Errorf("%v, and %d requests came in", err, s.count())
	}
}

// What it costs to count the parts before they are decoded.
func BenchmarkUnmarshal(b *testing.B) {
	for _, size := range []int{100, 100_000} {
		m := &Requests{Requests: []*api.Request{{Id: 7, Body: &api.Request_Produce{Produce: &api.ProduceRequest{
			Topic: &api.TopicRef{Name: "orders", Id: 3}, Partition: 2, Batch: make([]byte, size),
		}}}}}
		data, err := proto.Marshal(m)
		if err != nil {
			b.Fatal(err)
		}
		for name, c := range map[string]interface {
			Unmarshal(mem.BufferSlice, any) error
		}{"counted": newCodec(), "alone": newCodec().CodecV2} {
			b.Run(fmt.Sprintf("%s-%d", name, size), func(b *testing.B) {
				for b.Loop() {
					if err := c.Unmarshal(mem.BufferSlice{mem.SliceBuffer(data)}, &Requests{}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
