package rpc

import (
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"google.golang.org/protobuf/proto"
)

// FuzzLink feeds a client's bytes to a node. Each request that wants an answer
// comes in or is counted as pending no more; nothing panics.
func FuzzLink(f *testing.F) {
	f.Add(mustEncode(proto.Marshal(&Requests{Requests: []*api.Request{produce(1, api.Acks_ALL), produce(2, api.Acks_NONE)}})))
	f.Add([]byte{0x0a, 0x00})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		inbox := &notes{}
		c := &session{network: &Network{inbox: inbox}, visitor: &visitor{gate: &gate{}}, out: newOutbox()}
		batch := &Requests{}
		if proto.Unmarshal(b, batch) != nil {
			return
		}
		want := 0
		for _, q := range batch.Requests {
			c.take(q)
			if wantsAnswer(q) {
				want++
			}
		}
		if len(inbox.received) != len(batch.Requests) || int(c.pending.Load()) != want {
			t.Fatalf("%d of %d requests came in, %d are pending", len(inbox.received), len(batch.Requests), c.pending.Load())
		}
	})
}

// FuzzExchange feeds a peer's bytes to a node. Only whole frames come in.
func FuzzExchange(f *testing.F) {
	f.Add(mustEncode(proto.Marshal(&Frames{From: "host:1", Frames: [][]byte{api.EncodeFrame(batchFrom(1))}})))
	f.Add(mustEncode(proto.Marshal(&Frames{From: "host:1", Frames: [][]byte{[]byte("no frame")}})))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		inbox := &notes{}
		s := &peerService{network: &Network{inbox: inbox}}
		batch := &Frames{}
		if proto.Unmarshal(b, batch) != nil {
			return
		}
		whole := 0
		for _, frame := range batch.Frames {
			if _, err := api.DecodeFrame(frame); err != nil {
				break
			}
			whole++
		}
		err := s.deliver("host:1", batch.Frames)
		if len(inbox.received) != whole || (err == nil) != (whole == len(batch.Frames)) {
			t.Fatalf("%d of %d whole frames came in, %v", len(inbox.received), whole, err)
		}
	})
}
