package segment

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/reprise-mq/reprise/broker/api"
)

const folder = "groups/3/1/"

var firstState = State{Index: 1, Term: 1, Conf: &raftpb.ConfState{Voters: []uint64{1, 2, 3}, AutoLeave: new(false)}, Machine: []byte("new")}

// filled has n frames of three records and some 200 bytes; it rolls when full.
func filled(d *disk, n int, segmentBytes uint64) *Store {
	s := Create(d.files, folder, firstState)
	for range n {
		appendRecords(s, 1+api.Term(s.Last())/100)
		if s.Full(segmentBytes) {
			s.Roll(stateOf(s))
		}
	}
	return s
}

func appendRecords(s *Store, term api.Term) {
	i := s.Last() + 1
	s.Append(Frame{Kind: KindRecords, Index: i, Term: term, Base: s.Next(), Count: 3, Data: dataOf(i)})
}

func dataOf(i api.Index) []byte { return bytes.Repeat(fmt.Appendf(nil, "entry %d.", i), 20) }

func stateOf(s *Store) State {
	term, _ := s.Term(s.Last())
	return State{Index: s.Last(), Term: term, Next: s.Next(), Conf: firstState.Conf, Machine: fmt.Appendf(nil, "machine at %d", s.Last())}
}

func checkpointed(t *testing.T, d *disk, s *Store) Position {
	t.Helper()
	var at Position
	err := errors.New("no answer")
	s.Checkpoint(func(p Position, e error) { at, err = p, e })
	d.run()
	if err != nil {
		t.Fatalf("checkpoint: %v", err)
	}
	return at
}

func opened(t *testing.T, d *disk, synced Position) (*Store, Tail) {
	t.Helper()
	s, tail, err := open(d, synced)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return s, tail
}

func open(d *disk, synced Position) (s *Store, tail Tail, err error) {
	err = errors.New("no answer")
	Open(d.files, folder, synced, func(o *Store, t Tail, e error) { s, tail, err = o, t, e })
	d.run()
	return s, tail, err
}

func read(t *testing.T, d *disk, s *Store, from api.Offset, maxBytes int) []Frame {
	t.Helper()
	var got []Frame
	err := errors.New("no answer")
	s.Read(from, maxBytes, func(frames []Frame, e error) { got, err = frames, e })
	d.run()
	if err != nil {
		t.Fatalf("read from %d: %v", from, err)
	}
	return got
}

func TestReopenedLogHoldsEverything(t *testing.T) {
	d := newDisk(1)
	s := filled(d, 1000, 20_000)
	last := s.Manifest()
	at := checkpointed(t, d, s)
	d.crash()
	s, tail := opened(t, d, at)
	if got := s.Manifest(); fmt.Sprint(got) != fmt.Sprint(last) || len(got) < 5 {
		t.Fatalf("manifest %v, was %v", got, last)
	}
	if tail.Torn || tail.State.Index != at.Segment || !proto.Equal(tail.State.Conf, firstState.Conf) ||
		string(tail.State.Machine) != fmt.Sprintf("machine at %d", at.Segment) {
		t.Fatalf("tail %+v", tail.State)
	}
	if n := len(tail.Frames); n == 0 || tail.Frames[n-1].Index != 1001 || s.Last() != 1001 || s.Next() != 3000 {
		t.Fatalf("%d frames, last %d, next %d", n, s.Last(), s.Next())
	}
	for i := api.Index(2); i <= 1001; i++ {
		if term, ok := s.Term(i); !ok || term != 1+api.Term(i-1)/100 {
			t.Fatalf("term of %d: %d, %v", i, term, ok)
		}
	}
	for from := api.Offset(0); from < s.Next(); from += 7 {
		got := read(t, d, s, from, 1000)
		i := api.Index(from/3) + 2
		if len(got) < 1 || got[0].Index != i || !bytes.Equal(got[0].Data, dataOf(i)) {
			t.Fatalf("from %d: %+v", from, got)
		}
	}
}
