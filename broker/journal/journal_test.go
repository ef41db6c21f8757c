package journal

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/trace"
)

// fixture is a journal on a disk in memory.
type fixture struct {
	t     testing.TB
	disk  *memDisk
	opts  Options
	j     *Journal
	room  int64 // that the journal may take for its files
	fails []error
	marks map[string]int
}

func newFixture(t testing.TB, fileBytes int64, slots int) *fixture {
	fx := &fixture{t: t, disk: newMemDisk(), room: 1 << 40, marks: map[string]int{}}
	salt := uint64(0)
	fx.opts = Options{
		Folder: "journal/", FileBytes: fileBytes, Files: slots,
		Room:  func(bytes int64) bool { return bytes <= fx.room },
		Salt:  func() uint64 { salt++; return salt * 0x9e3779b97f4a7c15 },
		Fail:  func(err error) { fx.fails = append(fx.fails, err) },
		Trace: func(e trace.Event) { fx.marks[e.Name]++ },
	}
	return fx
}

func (fx *fixture) open() error {
	fx.t.Helper()
	fx.j = nil
	var got error
	called := 0
	Open(fx.disk.Files, fx.opts, func(j *Journal, err error) { fx.j, got = j, err; called++ })
	fx.disk.run()
	if called != 1 {
		fx.t.Fatalf("Open called done %d times", called)
	}
	return got
}

func (fx *fixture) mustOpen() {
	fx.t.Helper()
	if err := fx.open(); err != nil {
		fx.t.Fatal(err)
	}
}

// sync appends an update and waits for it.
func (fx *fixture) sync(u Update) {
	fx.t.Helper()
	done := false
	fx.j.Append(u, func() { done = true })
	for range 4 { // a batch may be in flight, or a file being made
		fx.j.Flush()
		fx.disk.run()
	}
	if !done {
		fx.t.Fatal("the update was never synced")
	}
}

func entry(index api.Index, term api.Term, data string) *raftpb.Entry {
	kind := raftpb.EntryNormal
	e := &raftpb.Entry{Index: new(uint64(index)), Term: new(uint64(term)), Type: &kind}
	if data != "" {
		e.Data = []byte(data)
	}
	return e
}

func TestReopenGivesWhatWasSynced(t *testing.T) {
	fx := newFixture(t, 4096, 4)
	fx.mustOpen()
	fx.sync(Update{
		Group: 7, Install: &Install{Replica: 2, Folder: 1, Index: 1, Term: 1}, Hard: &HardState{Term: 3, Vote: 2, Commit: 1},
		Entries: []*raftpb.Entry{entry(2, 3, "a"), entry(3, 3, "b"), entry(4, 3, "c")},
	})
	fx.sync(Update{Group: 7, Entries: []*raftpb.Entry{entry(3, 4, "B")}})
	fx.disk.kill()
	fx.mustOpen()
	i := fx.j.Image(7)
	if i == nil || i.Last() != 3 || i.First() != 2 || i.Hard != (HardState{3, 2, 1}) || i.Replica != 2 {
		t.Fatalf("image %+v", i)
	}
	if e := i.Entries(2, 9, 1000); len(e) != 2 || string(e[1].Data) != "B" {
		t.Fatalf("entries %v", e)
	}
}

// wait flushes until nothing moves.
func (fx *fixture) wait() {
	for range 4 {
		fx.j.Flush()
		fx.disk.run()
	}
}

func TestOneBatchInFlightWhileTheNextGathers(t *testing.T) {
	fx := newFixture(t, 1<<16, 3)
	fx.mustOpen()
	fx.disk.writes = 0
	var order []int
	for g := range 6 {
		fx.j.Append(Update{Group: api.GroupID(g), Install: &Install{Replica: 1}}, func() { order = append(order, g) })
		fx.j.Flush()
	}
	if fx.disk.writes != 1 || len(order) != 0 || fx.j.Idle() {
		t.Fatalf("%d writes, done %v", fx.disk.writes, order)
	}
	fx.disk.run()
	if !slices.Equal(order, []int{0}) {
		t.Fatalf("done %v after the first sync", order)
	}
	fx.j.Flush()
	fx.disk.run()
	if fx.disk.writes != 2 || !slices.Equal(order, []int{0, 1, 2, 3, 4, 5}) || !fx.j.Idle() {
		t.Fatalf("%d writes, done %v", fx.disk.writes, order)
	}
}

func TestNobodyWaits(t *testing.T) {
	fx := newFixture(t, 1<<16, 3)
	fx.mustOpen()
	called := 0
	done := func() { called++ }
	fx.sync(Update{Group: 1, Install: &Install{Replica: 1}, Hard: &HardState{Term: 2, Vote: 1}})
	writes := fx.disk.writes

	// A commit index alone is no promise.
	fx.j.Append(Update{Group: 1, Hard: &HardState{Term: 2, Vote: 1, Commit: 9}}, done)
	if called != 1 {
		t.Fatal("done of a commit index waits though nothing is under way")
	}
	fx.wait()
	if fx.disk.writes != writes {
		t.Fatal("a commit index was written at once")
	}
	// But what was promised before it is waited for, in flight or gathering.
	fx.j.Append(Update{Group: 1, Hard: &HardState{Term: 3}}, nil)
	fx.j.Append(Update{Group: 1, Hard: &HardState{Term: 3, Commit: 9}}, done)
	fx.j.Flush()
	fx.j.Append(Update{Group: 1, Hard: &HardState{Term: 3, Commit: 10}}, done)
	fx.j.Append(Update{Group: 1}, done)
	if called != 1 {
		t.Fatal("done overtakes a promise")
	}
	fx.disk.run()
	if called != 4 || fx.disk.writes != writes+1 {
		t.Fatalf("done called %d times after %d writes", called, fx.disk.writes-writes)
	}
	// In the end it is written.
	for range patience {
		fx.j.Flush()
		fx.disk.run()
	}
	fx.disk.kill()
	fx.mustOpen()
	if hard := fx.j.Image(1).Hard; hard.Commit != 10 {
		t.Fatalf("hard state %+v", hard)
	}
}

func TestFailedSyncEndsTheJournal(t *testing.T) {
	fx := newFixture(t, 4096, 3)
	fx.mustOpen()
	fx.sync(Update{Group: 1, Install: &Install{Replica: 1}})
	fx.disk.failing["journal/00"] = env.ErrIO
	never := func() { t.Fatal("done after a failed sync") }
	fx.j.Append(Update{Group: 1, Hard: &HardState{Term: 1}}, never)
	fx.j.Flush()
	fx.disk.run()
	fx.j.Append(Update{Group: 1, Hard: &HardState{Term: 2}}, never)
	fx.wait()
	if len(fx.fails) != 1 || !errors.Is(fx.fails[0], env.ErrIO) {
		t.Fatalf("failures %v", fx.fails)
	}
}

func TestFullDisk(t *testing.T) {
	fx := newFixture(t, 4096, 8)
	fx.disk.full = true
	if err := fx.open(); !errors.Is(err, env.ErrNoSpace) {
		t.Fatalf("open on a full disk: %v", err)
	}
	fx.disk.kill()
	fx.disk.full = false
	fx.mustOpen()
	fx.disk.full = true
	fx.sync(Update{Group: 1, Install: &Install{Replica: 1}})
	for index := range api.Index(50) {
		fx.sync(Update{
			Group: 1, Entries: []*raftpb.Entry{entry(index+1, 1, string(make([]byte, 700)))}, Checkpoint: &Checkpoint{Index: index},
		})
	}
	if len(fx.disk.names) != minFiles || fx.marks["journal: no room for another file"] != 1 {
		t.Fatalf("%d files, %v", len(fx.disk.names), fx.marks)
	}
	fx.disk.kill()
	fx.mustOpen()
	if i := fx.j.Image(1); i.First() != 50 || i.Last() != 50 {
		t.Fatalf("entries %d to %d", i.First(), i.Last())
	}
}

// The journal makes no file for which the node has no room, and one when it has.
func TestRoomIsKept(t *testing.T) {
	fx := newFixture(t, 4096, 8)
	fx.room = 4095
	fx.mustOpen()
	fx.sync(Update{Group: 1, Install: &Install{Replica: 1}})
	index := api.Index(0)
	fill := func() {
		for range 50 {
			index++
			fx.sync(Update{Group: 1, Entries: []*raftpb.Entry{entry(index, 1, string(make([]byte, 700)))}})
			for _, g := range fx.j.Pressure() {
				fx.sync(Update{Group: g, Checkpoint: &Checkpoint{Index: index}})
			}
		}
	}
	fill()
	if len(fx.disk.names) != minFiles {
		t.Fatalf("%d files where there is no room for a fourth", len(fx.disk.names))
	}
	if first := fx.j.Image(1).First(); first+20 < index {
		t.Fatalf("a journal of %d files holds entries %d to %d: it asked for no checkpoint", minFiles, first, index)
	}
	fx.room = 4096
	fill()
	if len(fx.disk.names) != 8 {
		t.Fatalf("%d files where there is room", len(fx.disk.names))
	}
}

func TestBatchLargerThanAFile(t *testing.T) {
	fx := newFixture(t, 2048, 3)
	fx.mustOpen()
	large := strings.Repeat("x", 10_000)
	fx.sync(Update{Group: 1, Install: &Install{Replica: 1}, Entries: []*raftpb.Entry{entry(1, 1, large)}})
	fx.disk.kill()
	fx.mustOpen()
	if e := fx.j.Image(1).Entries(1, 2, 0); len(e) != 1 || string(e[0].Data) != large {
		t.Fatal("the entry is not there")
	}
	// Its file shrinks when it is used again.
	fx.sync(Update{Group: 1, Checkpoint: &Checkpoint{Index: 1}})
	for n := range 20 {
		fx.sync(Update{Group: 1, Hard: &HardState{Term: api.Term(n + 1)}})
	}
	for name, f := range fx.disk.names {
		if len(f.seen) != 2048 {
			t.Errorf("%s has %d bytes", name, len(f.seen))
		}
	}
}

func TestPressure(t *testing.T) {
	fx := newFixture(t, 4096, 8)
	fx.mustOpen()
	for g := range api.GroupID(3) {
		fx.sync(Update{Group: g, Install: &Install{Replica: 1}})
	}
	fill := func(g api.GroupID) {
		i := fx.j.Image(g)
		fx.sync(Update{Group: g, Entries: []*raftpb.Entry{entry(i.Last()+1, 1, string(make([]byte, 800)))}})
	}
	for len(fx.j.Pressure()) == 0 && len(fx.disk.names) < 8 {
		fill(0)
		fill(2)
	}
	if p := fx.j.Pressure(); !slices.Equal(p, []api.GroupID{0, 2}) {
		t.Fatalf("pressure %v", p)
	}
	// Each is listed once for every new file.
	for _, g := range fx.j.Pressure() {
		fx.sync(Update{Group: g, Checkpoint: &Checkpoint{Index: fx.j.Image(g).First()}})
	}
	if p := fx.j.Pressure(); len(p) != 0 {
		t.Fatalf("pressure %v though all did what they could", p)
	}
	for rolls := fx.j.rolls; rolls == fx.j.rolls; {
		fill(2)
	}
	if p := fx.j.Pressure(); !slices.Equal(p, []api.GroupID{0, 2}) {
		t.Fatalf("pressure %v with the next file", p)
	}
	live := len(fx.j.live)
	for _, g := range fx.j.Pressure() {
		fx.sync(Update{Group: g, Checkpoint: &Checkpoint{Index: fx.j.Image(g).Last()}})
	}
	if p := fx.j.Pressure(); len(p) != 0 {
		t.Fatalf("pressure %v after the checkpoints", p)
	}
	fx.sync(Update{Group: 3, Install: &Install{Replica: 1}})
	for range 5 {
		fill(3)
	}
	if len(fx.j.live) > live || fx.marks["journal: images written again"] == 0 {
		t.Fatalf("%d live files, %d before the checkpoints", len(fx.j.live), live)
	}
}

// A slice of entries that raft holds does not change when a conflict replaces them.
func TestEntriesHandedOutStay(t *testing.T) {
	fx := newFixture(t, 4096, 3)
	fx.mustOpen()
	fx.j.Append(Update{Group: 1, Install: &Install{Replica: 1}}, nil)
	for index := range uint64(5) {
		fx.j.Append(Update{Group: 1, Entries: []*raftpb.Entry{entry(api.Index(index+1), 1, "old")}}, nil)
	}
	i := fx.j.Image(1)
	held := i.Entries(2, 6, 1<<20)
	fx.j.Append(Update{Group: 1, Entries: []*raftpb.Entry{entry(3, 2, "new"), entry(4, 2, "new")}}, nil)
	fx.j.Append(Update{Group: 1, Checkpoint: &Checkpoint{Index: 2}}, nil)
	_ = append(held, entry(6, 9, "raft's"))
	for k, e := range held {
		if e.GetIndex() != uint64(k+2) || string(e.GetData()) != "old" {
			t.Fatalf("entry %d is now %v", k, e)
		}
	}
	if got := i.Entries(3, 9, 0); len(got) != 1 || string(got[0].Data) != "new" {
		t.Fatalf("entries %v", got)
	}
	if i.Entries(2, 9, 9) != nil || i.Entries(5, 9, 9) != nil || i.Entries(4, 4, 9) != nil {
		t.Fatal("entries that are not held")
	}
}

// While a batch in flight still says that a file is needed, the file is not free,
// though the image that needed it is forgotten meanwhile.
func TestForgottenInFlight(t *testing.T) {
	fx := newFixture(t, 2048, 3)
	fx.mustOpen()
	big := string(make([]byte, 600))
	fx.sync(Update{Group: 1, Install: &Install{Replica: 1}})
	fx.j.Append(Update{Group: 2, Install: &Install{Replica: 1}, Entries: []*raftpb.Entry{entry(1, 1, big)}}, func() {})
	fx.j.Flush()
	fx.j.Append(Update{Group: 1, Forget: true}, func() {})
	fx.disk.run()
	if len(fx.j.free) != 1 || len(fx.j.live) != 2 {
		t.Fatalf("%d free, %d live files before the forgetting is synced", len(fx.j.free), len(fx.j.live))
	}
	fx.j.Append(Update{Group: 2, Entries: []*raftpb.Entry{entry(2, 1, big)}}, func() {})
	fx.j.Flush()
	fx.disk.run()
	if len(fx.j.free) != 1 || fx.j.live[0].first != 3 {
		t.Fatalf("%d free, oldest live batch %d after it", len(fx.j.free), fx.j.live[0].first)
	}
}

// However far the first opening came before it was killed, what the next life
// syncs survives the loss of all that is not.
func TestKilledWhileItBegan(t *testing.T) {
	for steps := range 12 {
		for updates := range 12 {
			fx := newFixture(t, 1024, 3)
			Open(fx.disk.Files, fx.opts, func(*Journal, error) {})
			for range steps {
				fx.disk.deliver()
			}
			fx.disk.kill()
			fx.mustOpen()
			fx.sync(Update{Group: 1, Install: &Install{Replica: 1}})
			for n := range updates {
				fx.sync(Update{Group: 1, Entries: []*raftpb.Entry{entry(api.Index(n+1), 1, string(make([]byte, 300)))}})
			}
			fx.disk.lose()
			fx.mustOpen()
			if i := fx.j.Image(1); i == nil || i.Last() != api.Index(updates) {
				t.Fatalf("killed after %d answers: of %d updates some are gone", steps, updates)
			}
		}
	}
}

func TestAppendPanicsOnWhatCannotBe(t *testing.T) {
	cases := map[string]Update{
		"gap":             {Entries: []*raftpb.Entry{entry(5, 1, "")}},
		"below the base":  {Entries: []*raftpb.Entry{entry(1, 1, "")}},
		"not consecutive": {Entries: []*raftpb.Entry{entry(3, 1, ""), entry(5, 1, "")}},
		"term goes back":  {Hard: &HardState{Term: 1}},
		"checkpoint back": {Checkpoint: &Checkpoint{Index: 1}},
		"back from death": {Install: &Install{Replica: 1}},
	}
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		fx := newFixture(t, 4096, 3)
		fx.mustOpen()
		fx.sync(Update{Destroyed: 1})
		fx.sync(Update{Install: &Install{Replica: 2, Index: 2}, Hard: &HardState{Term: 2}})
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			fx.j.Append(cases[name], nil)
		}()
	}
}

func TestOldest(t *testing.T) {
	fx := newFixture(t, 4096, 3)
	fx.mustOpen()
	if n, awaited := fx.j.Oldest(); n != 2 || awaited {
		t.Fatal(n, awaited)
	}
	fx.j.Append(Update{Group: 1, Install: &Install{Replica: 1}}, func() {})
	if n, awaited := fx.j.Oldest(); n != 2 || !awaited {
		t.Fatal(n, awaited)
	}
	fx.wait()
	if n, awaited := fx.j.Oldest(); n != 3 || awaited {
		t.Fatal(n, awaited)
	}
}
