package api

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// Every code that can be answered has its line in the contract, and no other has.
func TestEveryCodeHasATrait(t *testing.T) {
	for number, name := range Code_name {
		code := Code(number)
		trait, ok := Traits[code]
		if ok == (code == Code_OK) {
			t.Errorf("%s: in the table is %v", name, ok)
		}
		if ok && len(trait.Meaning) < 20 {
			t.Errorf("%s: the table does not say when it happens and what to do next", name)
		}
		if code == Code_OK && (code.Definite() || code.Retriable()) {
			t.Error("OK is no error")
		}
	}
	if len(Traits) != len(Code_name)-1 {
		t.Errorf("the table has %d lines for %d codes", len(Traits), len(Code_name)-1)
	}
}

// What may be answered after a proposal must not be definite.
func TestDoubtIsNeverDefinite(t *testing.T) {
	for _, code := range []Code{Code_LEADERSHIP_LOST, Code_TIMED_OUT, Code_DISCONNECTED, Code_DUPLICATE_SEQUENCE} {
		if code.Definite() {
			t.Errorf("%v is definite", code)
		}
	}
}

func drawMessage(t *rapid.T) *Message {
	request := &Request{Id: rapid.Uint64().Draw(t, "id"), Body: &Request_Produce{Produce: &ProduceRequest{
		Topic:     &TopicRef{Name: rapid.StringMatching("[a-z]{0,9}").Draw(t, "topic"), Id: rapid.Uint64().Draw(t, "topic id")},
		Partition: rapid.Int32().Draw(t, "partition"),
		Batch:     rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "batch"),
	}}}
	return &Message{Body: &Message_Request{Request: request}}
}

func TestFrameRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawMessage(t)
		frame := EncodeFrame(m)
		if !bytes.Equal(frame, EncodeFrame(proto.Clone(m).(*Message))) {
			t.Fatal("the same message gives other bytes")
		}
		got, err := DecodeFrame(frame)
		if err != nil || !proto.Equal(got, m) {
			t.Fatalf("decoded %v (%v), want %v", got, err, m)
		}
		at := rapid.IntRange(0, len(frame)*8-1).Draw(t, "bit")
		frame[at/8] ^= 1 << (at % 8)
		if _, err := DecodeFrame(frame); err != ErrFrame {
			t.Fatalf("a frame with bit %d flipped decodes (%v)", at, err)
		}
	})
}

// heartbeats is a batch with lists of so many numbers.
func heartbeats(beats, answers int) *Message {
	peer := &PeerBatch{ClusterId: "c", From: 1, To: 2}
	for i := range beats {
		peer.Heartbeats = append(peer.Heartbeats, uint64(i)<<(7*i))
	}
	for i := range answers {
		peer.HeartbeatAnswers = append(peer.HeartbeatAnswers, uint64(i))
	}
	return &Message{Body: &Message_Peer{Peer: peer}}
}

// A list that ends in the middle of a heartbeat makes the whole frame a bad one: what
// comes before may be of another group than it says.
func TestHalfAHeartbeatIsNoFrame(t *testing.T) {
	for beats := range 2*HeartbeatNumbers + 1 {
		for answers := range 2*HeartbeatAnswerNumbers + 1 {
			want := heartbeats(beats, answers)
			got, err := DecodeFrame(EncodeFrame(want))
			whole := beats%HeartbeatNumbers == 0 && answers%HeartbeatAnswerNumbers == 0
			if whole != (err == nil) || whole && !proto.Equal(got, want) {
				t.Errorf("%d and %d numbers: %v (%v)", beats, answers, got, err)
			}
		}
	}
}

func FuzzDecodeFrame(f *testing.F) {
	f.Add([]byte{})
	f.Add(EncodeFrame(&Message{}))
	f.Add(EncodeFrame(&Message{Body: &Message_Peer{Peer: &PeerBatch{ClusterId: "c", From: 1, To: 2,
		Raft: []*RaftMessage{{Group: 3, Message: []byte("m")}}, Leaders: []*LeaderHint{{Group: 3, Term: 4, Node: 1}}}}}))
	f.Add(EncodeFrame(heartbeats(2*HeartbeatNumbers, HeartbeatAnswerNumbers)))
	f.Add(EncodeFrame(heartbeats(HeartbeatNumbers+1, HeartbeatAnswerNumbers-1)))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, b := range [][]byte{data, resummed(data)} {
			m, err := DecodeFrame(b)
			if err != nil {
				continue
			}
			if n := len(m.GetPeer().GetHeartbeats()); n%HeartbeatNumbers != 0 {
				t.Fatalf("%d numbers are taken for heartbeats", n)
			}
			again, err := DecodeFrame(EncodeFrame(m))
			if err != nil || !proto.Equal(again, m) {
				t.Fatalf("%v comes back as %v (%v)", m, again, err)
			}
		}
	})
}

// resummed puts the right sum before any bytes, so that the decoder behind the sum
// is reached.
func resummed(data []byte) []byte {
	if len(data) < frameHeader {
		return data
	}
	return sum(append([]byte(nil), data...))
}
