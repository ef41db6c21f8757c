package journal

import (
	"errors"
	"fmt"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/sim/prng"
)

// written gives a disk with a journal on it, closed by a kill: so many updates
// synced one by one, and the model before and after the last.
func written(t *testing.T, updates int) (fx *fixture, before, after model) {
	fx = newFixture(t, 4096, 4)
	fx.mustOpen()
	after = model{}
	random := prng.New(1)
	for n := range updates {
		before = after.clone()
		g := api.GroupID(n % 3)
		var u Update
		if m := after[g]; m == nil {
			u = Update{Group: g, Install: &Install{Replica: 1, Folder: 1}}
		} else {
			u = Update{Group: g, Entries: []*raftpb.Entry{entry(m.last()+1, 1, string(make([]byte, random.Below(900))))}}
			if random.Chance(1, 2) {
				u.Checkpoint = &Checkpoint{Index: m.last()}
			}
		}
		after.apply(u)
		fx.sync(u)
	}
	fx.disk.kill()
	return fx, before, after
}

// place is a byte of a file.
type place struct {
	name string
	at   int64
}

// chain lists the places of every batch that counts, by batch.
func (fx *fixture) chain() (batches [][]place) {
	var found []location
	names := []string{}
	for n := 0; ; n++ {
		f := fx.disk.names[slotName(fx.opts.Folder, n)]
		if f == nil {
			break
		}
		names = append(names, slotName(fx.opts.Folder, n))
		for at := int64(0); at < int64(len(f.seen)); {
			h, size := examine(f.seen[at:])
			if size > 0 {
				found = append(found, location{Header: h, slot: n, at: at, size: size})
			}
			at += max(size, sector)
		}
	}
	counts, ok := judge(found, nil)
	if !ok {
		fx.t.Fatal("the journal is damaged before any damage")
	}
	for _, l := range counts {
		var places []place
		b, _, _ := DecodeBatch(fx.disk.names[names[l.slot]].seen[l.at:])
		n := headerBytes
		for _, u := range b.Updates {
			n += len(u.append(nil))
		}
		for k := range n {
			at := l.at + int64(k/chunk*sector)
			if k%chunk == 0 {
				places = append(places, place{names[l.slot], at}) // the tag
			}
			places = append(places, place{names[l.slot], at + 1 + int64(k%chunk)})
		}
		batches = append(batches, places)
	}
	return batches
}

// A bit that flips in a batch which a later one proves to have been synced is
// damage; in the last batch it is the torn end; elsewhere it is nothing.
func TestDamage(t *testing.T) {
	for _, updates := range []int{6, 60} {
		fx, before, after := written(t, updates)
		batches := fx.chain()
		if len(batches) < 5 {
			t.Fatalf("only %d batches count", len(batches))
		}
		counted := map[place]bool{}
		for n, places := range batches {
			for k, p := range places {
				counted[p] = true
				if k > headerBytes && k%29 != 0 && p.at%sector != 0 {
					continue
				}
				if n == len(batches)-1 {
					fx.flipped(p, before, nil)
				} else {
					fx.flipped(p, nil, ErrDamaged)
				}
			}
		}
		for name, f := range fx.disk.names {
			for at := int64(0); at < int64(len(f.seen)); at += 67 {
				if p := (place{name, at}); !counted[p] {
					fx.flipped(p, after, nil)
				}
			}
		}
	}
}

// flipped opens the journal with one bit flipped.
func (fx *fixture) flipped(p place, want model, wantErr error) {
	fx.t.Helper()
	saved := map[string]*memFile{}
	for name, f := range fx.disk.names {
		saved[name] = &memFile{seen: append([]byte(nil), f.seen...)}
	}
	fx.disk.names[p.name].seen[p.at] ^= 1 << (p.at % 8)
	err := fx.open()
	if !errors.Is(err, wantErr) {
		fx.t.Fatalf("flip at %v: %v, want %v", p, err, wantErr)
	}
	if err == nil {
		if d := want.differs(fx.j); d != "" {
			fx.t.Fatalf("flip at %v: %s", p, d)
		}
	}
	fx.disk.names = saved
	fx.disk.kill()
}

// A read that fails, or gives less than there is, is an error and no more.
func TestReadsFail(t *testing.T) {
	for _, short := range []bool{false, true} {
		failed := 0
		for n := 1; n < 12; n++ {
			fx, _, _ := written(t, 20)
			fx.disk.reads, fx.disk.badRead, fx.disk.short = 0, n, short
			if err := fx.open(); errors.Is(err, env.ErrIO) {
				failed++
			} else if err != nil || fx.disk.reads >= n {
				t.Fatalf("read %d failed: %v", n, err)
			}
		}
		if failed < 5 {
			t.Fatalf("%d reads failed", failed)
		}
	}
}

// Once a mark says so, the last batch with updates is known to be synced too.
func TestMarkProvesTheLastBatch(t *testing.T) {
	fx := newFixture(t, 4096, 3)
	fx.mustOpen()
	u := Update{Group: 1, Install: &Install{Replica: 1}}
	fx.sync(u)
	for range patience {
		fx.j.Flush()
		fx.disk.run()
	}
	writes := fx.disk.writes
	for range 2 * patience {
		fx.j.Flush()
		fx.disk.run()
	}
	if writes != fx.disk.writes {
		t.Fatal("an idle journal goes on writing")
	}
	fx.disk.kill()
	batches := fx.chain()
	if len(batches) != 3 {
		t.Fatalf("%d batches, want the first, the update's and the mark", len(batches))
	}
	want := model{}
	want.apply(u)
	fx.flipped(batches[2][20], want, nil)
	fx.flipped(batches[1][20], nil, ErrDamaged)
}

// A client's record that holds a batch, whole and with the greatest salt, in every
// sector is not taken for one when the batch around it is torn.
func TestForgedBatchInsideARecord(t *testing.T) {
	fx := newFixture(t, 1<<16, 3)
	fx.mustOpen()
	first := Update{Group: 1, Install: &Install{Replica: 1}, Hard: &HardState{Term: 1}}
	fx.sync(first)
	evil := Update{Group: 1, anew: true, Install: &Install{Replica: 9}}
	forged := seal(nil, evil.append(blank(nil)), Header{Number: 2, Salt: 1 << 60, Start: 2, Synced: 1, Oldest: 1})
	var data []byte
	for range 64 {
		data = append(data, forged[:300]...)
		data = append(data, make([]byte, 211)...) // with the record's own bytes, one per sector in every phase
	}
	for pad := range sector {
		u := Update{Group: 1, Entries: []*raftpb.Entry{entry(1, 1, string(make([]byte, pad))+string(data))}}
		plain := u.append(blank(nil))
		out := seal(nil, plain, Header{Number: 2, Salt: fx.j.salt, Start: 1, Synced: 1, Oldest: 1})
		torn := append(make([]byte, sector), out[sector:]...)
		for at := 0; at < len(torn); at += sector {
			if _, size := examine(torn[at:]); size != 0 {
				t.Fatalf("a forged batch at sector %d, pad %d, is taken for one", at/sector, pad)
			}
		}
	}
}

// judge by example. A batch is (salt, number, start, synced, oldest).
func TestJudge(t *testing.T) {
	type b struct{ number, salt, start, synced, oldest uint64 }
	cases := []struct {
		name  string
		found []b
		want  string // numbers and salts that count, or "damaged"
		seen  []b    // by witnesses
	}{
		{"nothing", nil, "", nil},
		{"one run", []b{{1, 5, 1, 0, 1}, {2, 5, 1, 1, 1}}, "1/5 2/5", nil},
		{"a batch that matters is gone", []b{{2, 5, 1, 1, 1}}, "damaged", nil},
		{"a batch that matters no more is gone", []b{{2, 5, 1, 1, 2}}, "2/5", nil},
		{"a synced batch is gone", []b{{1, 5, 1, 0, 1}, {3, 5, 1, 2, 1}}, "damaged", nil},
		{"one that was not is the end", []b{{1, 5, 1, 0, 1}, {3, 5, 1, 1, 1}}, "1/5", nil},
		{"the end goes back to what mattered then", []b{{1, 5, 1, 0, 1}, {2, 5, 1, 1, 1}, {4, 5, 1, 2, 4}}, "1/5 2/5", nil},
		{"a new run goes on", []b{{1, 5, 1, 0, 1}, {2, 6, 2, 1, 1}}, "1/5 2/6", nil},
		{"a new run voids what stood there", []b{{1, 5, 1, 0, 1}, {2, 5, 1, 1, 1}, {3, 5, 1, 2, 1}, {2, 6, 2, 1, 1}}, "1/5 2/6", nil},
		{"what is void proves nothing", []b{{1, 5, 1, 0, 1}, {4, 5, 1, 3, 1}, {2, 6, 2, 1, 1}}, "1/5 2/6", nil},
		{"what is void does not stand in", []b{{1, 5, 1, 0, 1}, {2, 5, 1, 1, 1}, {3, 6, 2, 2, 1}}, "damaged", nil},
		{"two torn ends", []b{{1, 5, 1, 0, 1}, {2, 7, 2, 1, 1}, {3, 8, 3, 2, 1}}, "1/5 2/7 3/8", nil},
		{"a run between is void", []b{{1, 5, 1, 0, 1}, {2, 6, 2, 1, 1}, {3, 6, 2, 2, 1}, {2, 7, 2, 1, 1}}, "1/5 2/7", nil},
		{"a file that is gone was seen", []b{{1, 5, 1, 0, 1}}, "damaged", []b{{2, 5, 1, 2, 1}}},
		{"a file that was seen", []b{{1, 5, 1, 0, 1}, {2, 5, 1, 1, 1}, {3, 5, 1, 1, 1}}, "1/5 2/5 3/5", []b{{2, 5, 1, 2, 1}}},
		{"what was seen is void", []b{{1, 5, 1, 0, 1}, {2, 6, 2, 1, 1}}, "1/5 2/6", []b{{2, 5, 1, 2, 1}, {3, 5, 1, 3, 1}}},
		{"a new run was seen", []b{{1, 5, 1, 0, 1}, {2, 5, 1, 1, 1}}, "damaged", []b{{2, 6, 2, 2, 1}}},
		{"old contents of a recycled file", []b{{7, 5, 1, 6, 6}, {6, 5, 1, 5, 3}, {3, 4, 2, 2, 1}, {1, 4, 1, 0, 1}}, "6/5 7/5", nil},
	}
	for _, c := range cases {
		var found []location
		header := func(h b) Header {
			return Header{Number: h.number, Salt: h.salt, Start: h.start, Synced: h.synced, Oldest: h.oldest}
		}
		for _, h := range c.found {
			found = append(found, location{Header: header(h)})
		}
		var seen []Header
		for _, h := range c.seen {
			seen = append(seen, header(h))
		}
		got := "damaged"
		if chain, ok := judge(found, seen); ok {
			got = ""
			for k, l := range chain {
				if k > 0 {
					got += " "
				}
				got += fmt.Sprintf("%d/%d", l.Number, l.Salt)
			}
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// Where there was a journal, none is a lost one: the node must not begin another. Nor may it
// go on without the newest file, of which only the one before it can tell, with one cut
// short, or with what another version wrote.
func TestLostFilesAreDamage(t *testing.T) {
	newest := func(fx *fixture) string { return fx.j.live[len(fx.j.live)-1].slot.name }
	all := func(fx *fixture, do func(*memFile)) {
		for _, f := range fx.disk.names {
			do(f)
		}
	}
	zero := func(f *memFile) { clear(f.seen) }
	for what, c := range map[string]struct {
		lose func(*fixture)
		want error
	}{
		"nothing":               {func(*fixture) {}, nil},
		"every file":            {func(fx *fixture) { clear(fx.disk.names) }, ErrDamaged},
		"what is in every file": {func(fx *fixture) { all(fx, zero) }, ErrDamaged},
		"the newest file":       {func(fx *fixture) { delete(fx.disk.names, newest(fx)) }, ErrDamaged},
		"what is in the newest": {func(fx *fixture) { zero(fx.disk.names[newest(fx)]) }, ErrDamaged},
		"the end of the newest": {func(fx *fixture) { f := fx.disk.names[newest(fx)]; f.seen = f.seen[:len(f.seen)/2] }, ErrDamaged},
		"a file that is free":   {func(fx *fixture) { delete(fx.disk.names, fx.j.free[0].name) }, nil},
		"the version it can read": {func(fx *fixture) {
			all(fx, func(f *memFile) {
				for at := 0; at < len(f.seen); at += sector {
					f.seen[at+len(magic)] = '1'
				}
			})
		}, ErrVersion},
	} {
		fx, _, after := written(t, 60)
		fx.opts.Must = true
		fx.mustOpen()
		u := Update{Group: 9, Install: &Install{Replica: 1}}
		after.apply(u)
		for range 2 { // the second says that the first was synced
			fx.sync(u)
			u = Update{Group: 9, Hard: &HardState{Term: 1}}
		}
		after.apply(u)
		c.lose(fx)
		fx.disk.kill()
		before := len(fx.disk.names)
		if err := fx.open(); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("without %s it opens with %v, want %v", what, err, c.want)
		} else if err == nil && after.differs(fx.j) != "" {
			t.Errorf("without %s: %s", what, after.differs(fx.j))
		} else if err != nil && len(fx.disk.names) != before {
			t.Errorf("without %s: of %d files there are %d now", what, before, len(fx.disk.names))
		}
	}
}

// A file that a list leaves out is found in the way when the journal is begun, and stays.
func TestFileInTheWayStays(t *testing.T) {
	fx := newFixture(t, 4096, 4)
	fx.mustOpen()
	fx.disk.kill()
	fx.disk.hidden = true
	if err := fx.open(); !errors.Is(err, env.ErrExist) {
		t.Errorf("opens with %v", err)
	}
	fx.disk.kill()
	fx.disk.hidden = false
	if names := len(fx.disk.names); names < minFiles {
		t.Errorf("%d files are left", names)
	}
	fx.mustOpen()
}
