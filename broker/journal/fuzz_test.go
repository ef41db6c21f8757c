package journal

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
)

// samples are updates with every field.
func samples() []Update {
	return []Update{
		{Group: 0, Hard: &HardState{}},
		{Group: 7, anew: true, Install: &Install{Replica: 3, Folder: 2, Index: 900, Term: 4}, Hard: &HardState{5, 3, 900}},
		{Group: 7, Entries: []*raftpb.Entry{entry(901, 5, ""), entry(902, 5, "two"), entry(903, 6, "three")}},
		{Group: 7, Checkpoint: &Checkpoint{Index: 902, Segment: 800, Length: 4096}},
		{Group: 1 << 60, Destroyed: math.MaxUint64},
		{Group: 7, Forget: true},
	}
}

func encode(h Header, updates []Update) []byte {
	plain := blank(nil)
	for _, u := range updates {
		plain = u.append(plain)
	}
	return seal(nil, plain, h)
}

// FuzzDecodeBatch: whatever the bytes are, decoding takes no more than they
// warrant, and what was decoded is encoded and decoded as the same again.
func FuzzDecodeBatch(f *testing.F) {
	h := Header{Number: 9, Salt: 1<<saltShift | 77, Start: 4, Synced: 8, Oldest: 2}
	whole := encode(h, samples())
	f.Add(whole, true)
	f.Add(whole[:sector], false)
	f.Add(encode(h, nil), false)
	f.Add(append(encode(h, samples()[2:3]), whole...), true)
	f.Fuzz(func(t *testing.T, data []byte, repair bool) {
		if repair {
			data = repaired(data)
		}
		b, rest, err := DecodeBatch(data)
		if err != nil {
			if len(b.Updates) != 0 || len(rest) != len(data) {
				t.Fatal("an error comes with a batch")
			}
			return
		}
		entries := 0
		for _, u := range b.Updates {
			entries += len(u.Entries)
		}
		if used := len(data) - len(rest); len(b.Updates)*2+entries*minEntry > used || used%sector != 0 {
			t.Fatalf("%d updates and %d entries from %d bytes", len(b.Updates), entries, used)
		}
		again := encode(b.Header, b.Updates)
		c, rest, err := DecodeBatch(again)
		if err != nil || len(rest) != 0 || c.Header != b.Header || !bytes.Equal(encode(c.Header, c.Updates), again) {
			t.Fatalf("round trip: %v", err)
		}
	})
}

// repaired makes data the records of a batch whose CRC is right, so that the
// fuzzer gets past it.
func repaired(data []byte) []byte {
	return seal(nil, append(blank(nil), data...), Header{Number: 1, Salt: 1 << saltShift, Start: 1, Oldest: 1})
}

// FuzzOpen: records that no journal wrote, in a batch whose CRC is right, are
// refused or make images that can be read and written again; nothing panics.
func FuzzOpen(f *testing.F) {
	for _, u := range samples() {
		u.anew = true
		f.Add(u.append(nil))
	}
	var all []byte
	for _, u := range samples() {
		all = u.append(all)
	}
	f.Add(all)
	f.Fuzz(func(t *testing.T, records []byte) {
		fx := newFixture(t, 4096, 3)
		fx.disk.names["journal/00"] = &memFile{seen: repaired(records)}
		if err := fx.open(); err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
			return
		}
		for _, g := range fx.j.Groups() {
			i := fx.j.Image(g)
			i.Term(i.Last())
			if n := len(i.Entries(i.First(), i.Last()+1, math.MaxUint64)); n != len(i.entries) {
				t.Fatalf("%d entries of %d", n, len(i.entries))
			}
			rebuilt := &Image{Group: g}
			for _, u := range i.again() {
				if err := rebuilt.check(&u); err != nil {
					t.Fatalf("what an image writes again does not make one: %v", err)
				}
				rebuilt.apply(&u)
			}
			if rebuilt.Hard != i.Hard || rebuilt.First() != i.First() || rebuilt.Last() != i.Last() || rebuilt.Bytes() != i.Bytes() {
				t.Fatalf("%+v became %+v", i, rebuilt)
			}
		}
	})
}
