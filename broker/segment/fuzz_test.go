package segment

import (
	"bytes"
	"runtime"
	"slices"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/reprise-mq/reprise/broker/api"
)

// bounded fails if a decoder allocates more than a multiple of its input.
func bounded(t *testing.T, input int, decode func()) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	decode()
	runtime.ReadMemStats(&after)
	if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(64<<10+64*input); got > limit {
		t.Fatalf("%d bytes allocated for %d of input", got, input)
	}
}

func FuzzDecodeFrame(f *testing.F) {
	var all []byte
	for _, fr := range []Frame{
		{Kind: KindRecords, Index: 7, Term: 3, Base: 12, Count: 2, Data: []byte("two records")},
		{Kind: KindEntry, Index: 8, Term: 3, Base: 14},
		{Kind: KindEntry, Type: raftpb.EntryConfChangeV2, Index: 9, Term: 4, Base: 14, Data: []byte{0}},
		encodeState(&firstState, 0, termStart{}, nil),
	} {
		b := appendFrame(testGroup, nil, &fr)
		all = append(all, b...)
		f.Add(b)
	}
	f.Add(all)
	f.Add(all[:len(all)-1])
	f.Fuzz(func(t *testing.T, b []byte) {
		bounded(t, len(b), func() { DecodeFrame(testGroup, b) })
		for rest := b; ; {
			fr, after, err := DecodeFrame(testGroup, rest)
			if err != nil {
				if fr.Data != nil || after != nil || err != ErrFrame {
					t.Fatalf("%+v, %v", fr, err)
				}
				return
			}
			if again := appendFrame(testGroup, nil, &fr); !bytes.Equal(again, rest[:len(rest)-len(after)]) {
				t.Fatalf("%x is encoded as %x", rest, again)
			}
			rest = after
		}
	})
}

// FuzzFrameOfAnyFields starts from fields, where random bytes never pass a CRC.
func FuzzFrameOfAnyFields(f *testing.F) {
	f.Add(uint8(3), int32(0), uint64(7), uint64(3), int64(12), int32(2), []byte("data"), 5)
	f.Fuzz(func(t *testing.T, kind uint8, typ int32, index, term uint64, base int64, count int32, data []byte, flip int) {
		fr := Frame{Kind(kind), raftpb.EntryType(typ), api.Index(index), api.Term(term), api.Offset(base), count, data}
		if !fr.valid() {
			return
		}
		b := appendFrame(testGroup, nil, &fr)
		got, rest, err := DecodeFrame(testGroup, append(b, 1, 2, 3))
		if err != nil || len(rest) != 3 || got.Index != fr.Index || got.Count != fr.Count || got.Base != fr.Base || !bytes.Equal(got.Data, data) {
			t.Fatalf("%+v comes back as %+v, %v", fr, got, err)
		}
		flip = int(uint(flip) % uint(8*len(b)))
		b[flip/8] ^= 1 << (flip % 8)
		if _, _, err := DecodeFrame(testGroup, b); err == nil {
			t.Fatalf("bit %d changed and not noticed", flip)
		}
	})
}

func FuzzDecodeState(f *testing.F) {
	before := termStart{10, 2}
	starts := []termStart{{12, 3}, {15, 7}}
	conf := &raftpb.ConfState{Voters: []uint64{3, 1, 2}, Learners: []uint64{8}, VotersOutgoing: []uint64{1}, LearnersNext: []uint64{1 << 63}, AutoLeave: new(true)}
	f.Add(encodeState(&State{Index: 20, Term: 7, Next: 5, Conf: conf, Machine: []byte("machine")}, 10, before, starts).Data)
	f.Add(encodeState(&State{Index: 20, Term: 2, Next: 5}, 10, before, nil).Data)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, term := range []uint64{2, 7} {
			fr := Frame{Kind: KindState, Index: 20, Term: api.Term(term), Base: 5, Count: 10, Data: data}
			bounded(t, len(data), func() { decodeState(&fr, before) })
			st, starts, err := decodeState(&fr, before)
			if err != nil {
				continue
			}
			again := encodeState(&st, 10, before, starts)
			st2, starts2, err := decodeState(&again, before)
			if err != nil || !slices.Equal(starts, starts2) || !proto.Equal(st.Conf, st2.Conf) || !bytes.Equal(st.Machine, st2.Machine) {
				t.Fatalf("%+v, %v comes back as %+v, %v, %v", st, starts, st2, starts2, err)
			}
			// Without the segment before, its terms stay unknown, and the rest is the same.
			if st3, none, err := decodeState(&fr, termStart{}); err == nil && (none != nil || !bytes.Equal(st.Machine, st3.Machine)) {
				t.Fatalf("%v known of nothing", none)
			}
		}
	})
}

func FuzzDecodeManifest(f *testing.F) {
	f.Add(EncodeManifest([]File{{1, 50}, {1000, 1 << 40}, {1 << 63, 4711}}))
	f.Add([]byte{1, 1, 42})
	f.Add([]byte{255, 255, 255, 255, 15, 1, 42})
	f.Fuzz(func(t *testing.T, b []byte) {
		bounded(t, len(b), func() { DecodeManifest(b) })
		m, err := DecodeManifest(b)
		if err != nil {
			return
		}
		for i, file := range m {
			if file.Segment == 0 || file.Length <= 0 || i > 0 && file.Segment <= m[i-1].Segment {
				t.Fatalf("manifest %v", m)
			}
		}
		if again, err := DecodeManifest(EncodeManifest(m)); err != nil || !slices.Equal(again, m) {
			t.Fatalf("%v comes back as %v, %v", m, again, err)
		}
	})
}
