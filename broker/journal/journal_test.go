package journal

import (
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/trace"
)

// fixture is a journal on a disk in memory.
type fixture struct {
	t     testing.TB
	disk  *memDisk
	opts  Options
	j     *Journal
	fails []error
	marks map[string]int
}

func newFixture(t testing.TB, fileBytes int64, slots int) *fixture {
	fx := &fixture{t: t, disk: newMemDisk(), marks: map[string]int{}}
	salt := uint64(0)
	fx.opts = Options{
		Folder: "journal/", FileBytes: fileBytes, Files: slots,
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
