package segment

import (
	"fmt"
	"math"
	"slices"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/codec"
)

// State is what a segment begins with: everything that the entries before it
// amount to.
type State struct {
	// Index and Term are those of the last entry before the segment.
	Index api.Index
	Term  api.Term
	// Next is the offset that the next record takes.
	Next api.Offset
	// Conf is the raft configuration as of Index.
	Conf *raftpb.ConfState
	// Machine is the state machine's own encoding of its state as of Index.
	Machine []byte
}

// termStart says where a term began: its first entry in this log.
type termStart struct {
	index api.Index
	term  api.Term
}

// encodeState makes the state frame of a segment that follows one of count
// entries, in which the terms of starts began. before is the last term start
// below those.
func encodeState(st *State, count int32, before termStart, starts []termStart) Frame {
	b := codec.AppendUvarint(nil, uint64(len(starts)))
	for _, s := range starts {
		b = codec.AppendUvarint(b, uint64(s.index-before.index))
		b = codec.AppendUvarint(b, uint64(s.term-before.term))
		before = s
	}
	b = appendConf(b, st.Conf)
	b = codec.AppendBytes(b, st.Machine)
	return Frame{Kind: KindState, Index: st.Index, Term: st.Term, Base: st.Next, Count: count, Data: b}
}

// decodeState gives the state of a state frame, and the terms that began in the
// segment before. before is the state frame of that segment, or zero if nothing is
// known of it. Nothing of the result aliases the frame but Machine.
func decodeState(fr *Frame, before termStart) (State, []termStart, error) {
	r := codec.NewReader(fr.Data)
	starts, ok := readStarts(r, before)
	conf, sorted := readConf(r)
	st := State{Index: fr.Index, Term: fr.Term, Next: fr.Base, Conf: conf, Machine: r.Bytes()}
	if r.Close() != nil || !ok || !sorted {
		return State{}, nil, ErrFrame
	}
	if before.index == 0 {
		return st, nil, nil
	}
	newest := before
	if len(starts) > 0 {
		newest = starts[len(starts)-1]
	}
	if newest.index > fr.Index || newest.term != fr.Term {
		return State{}, nil, ErrFrame
	}
	return st, starts, nil
}

// readStarts reads the table of terms; false if it does not ascend.
func readStarts(r *codec.Reader, before termStart) ([]termStart, bool) {
	n := r.Count(2)
	starts := make([]termStart, 0, n)
	for range n {
		index, term := r.Uvarint(), r.Uvarint()
		if index == 0 || term == 0 || index > math.MaxUint64-uint64(before.index) || term > math.MaxUint64-uint64(before.term) {
			return nil, false
		}
		before = termStart{before.index + api.Index(index), before.term + api.Term(term)}
		starts = append(starts, before)
	}
	return starts, true
}

func appendConf(b []byte, c *raftpb.ConfState) []byte {
	for _, ids := range [][]uint64{c.GetVoters(), c.GetLearners(), c.GetVotersOutgoing(), c.GetLearnersNext()} {
		b = codec.AppendUvarint(b, uint64(len(ids)))
		last := uint64(0)
		for _, id := range slices.Sorted(slices.Values(ids)) {
			if id <= last {
				panic(fmt.Sprintf("segment: raft id %d twice or zero in a configuration", id))
			}
			b = codec.AppendUvarint(b, id-last)
			last = id
		}
	}
	return codec.AppendBool(b, c.GetAutoLeave())
}

// readConf reads a configuration; false if its ids do not ascend.
func readConf(r *codec.Reader) (*raftpb.ConfState, bool) {
	c := &raftpb.ConfState{}
	for _, ids := range []*[]uint64{&c.Voters, &c.Learners, &c.VotersOutgoing, &c.LearnersNext} {
		last := uint64(0)
		for range r.Count(1) {
			step := r.Uvarint()
			if step == 0 || step > math.MaxUint64-last {
				return nil, false
			}
			last += step
			*ids = append(*ids, last)
		}
	}
	c.AutoLeave = new(r.Bool())
	return c, true
}
