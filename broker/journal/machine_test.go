package journal

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
	"pgregory.net/rapid"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/files"
	"github.com/reprise-mq/reprise/broker/trace"
	"github.com/reprise-mq/reprise/sim/prng"
)

// machine drives a journal on a crashable disk beside the model. What was
// appended and is perhaps not durable stands in later; a crash may leave any
// number of its updates, from the first on, but not fewer than were promised.
type machine struct {
	disk   *memDisk
	opts   Options
	j      *Journal
	random *prng.Stream
	failed bool
	marks  map[string]int

	now      model // with every update
	base     model // with the first settled of all updates
	settled  int
	later    []Update
	promised int // so many of all updates must be there after a crash
	relied   int // so many of all updates are waited for by one that comes now
	term     api.Term
}

func newMachine(t *rapid.T, marks map[string]int) *machine {
	m := &machine{
		disk: newMemDisk(), marks: marks,
		random: prng.New(rapid.Uint64().Draw(t, "seed")), now: model{}, base: model{},
	}
	m.opts = Options{
		Folder: "journal/", FileBytes: 512 * rapid.Int64Range(2, 12).Draw(t, "sectors"),
		Files: rapid.IntRange(minFiles, 7).Draw(t, "files"),
		Room:  func(int64) bool { return !m.random.Chance(1, 4) },
		Salt:  m.random.Uint64,
		Fail:  func(error) { m.failed = true },
		Trace: func(e trace.Event) { marks[e.Name]++ },
	}
	m.open(t)
	return m
}

// open opens the journal, with crashes on the way, and compares.
func (m *machine) open(t *rapid.T) {
	for {
		var err error
		done := false
		m.j, m.failed = nil, false
		Open(m.disk.Files, m.opts, func(j *Journal, e error) { m.j, err, done = j, e, true })
		steps := 1 << 30
		if m.random.Chance(1, 3) {
			steps = int(m.random.Below(12))
		}
		for ; steps > 0 && m.disk.deliver(); steps-- {
		}
		if done && err != nil {
			t.Fatalf("open: %v", err)
		}
		if done {
			break
		}
		m.stop()
	}
	m.compare(t)
}

// stop ends the process, with or without the power.
func (m *machine) stop() {
	if m.random.Chance(1, 3) {
		m.disk.kill()
	} else {
		m.disk.crash(m.random)
	}
}

// compare finds how many updates survived: no promised one may be missing.
func (m *machine) compare(t *rapid.T) {
	var why []string
	state := m.base
	for n := 0; ; n++ {
		if m.settled+n >= m.promised {
			d := state.differs(m.j)
			if d == "" {
				m.settled += n
				m.later = nil
				break
			}
			why = append(why, fmt.Sprintf("%d updates: %s", m.settled+n, d))
		}
		if n == len(m.later) {
			t.Fatalf("after a crash the images are those of no prefix from %d on:\n%s",
				m.promised, strings.Join(why, "\n"))
		}
		state.apply(m.later[n])
	}
	m.base, m.now = state, state.clone()
	m.promised, m.relied = m.settled, m.settled
}

// catchUp moves what is promised out of later.
func (m *machine) catchUp() {
	for m.settled < m.promised {
		m.base.apply(m.later[0])
		m.later = m.later[1:]
		m.settled++
	}
}

func (m *machine) append(t *rapid.T, u Update) {
	g := m.now[u.Group]
	lonely := u.fields() == hasHard && g != nil && u.Hard.Term == g.hard.Term && u.Hard.Vote == g.hard.Vote
	m.now.apply(u)
	m.later = append(m.later, u)
	total := m.settled + len(m.later)
	if !lonely {
		m.relied = total
	}
	relied := m.relied
	var done func()
	if rapid.IntRange(0, 3).Draw(t, "waits") > 0 {
		done = func() {
			if m.failed {
				t.Fatal("done was called after a failure")
			}
			m.promised = max(m.promised, relied)
		}
	}
	m.j.Append(u, done)
	if d := m.now.differs(m.j); d != "" {
		t.Fatalf("after append: %s", d)
	}
	m.catchUp()
}

func (m *machine) group(t *rapid.T) api.GroupID {
	return api.GroupID(rapid.Uint64Range(0, 4).Draw(t, "group"))
}

func (m *machine) entries(t *rapid.T, first api.Index) []*raftpb.Entry {
	var entries []*raftpb.Entry
	for k := range rapid.IntRange(1, 6).Draw(t, "entries") {
		m.term += api.Term(rapid.Uint64Range(0, 1).Draw(t, "term"))
		size := rapid.SampledFrom([]int{0, 1, 20, 200, 600}).Draw(t, "size")
		e := entry(first+api.Index(k), m.term, strings.Repeat(string(rune('a'+m.random.Below(26))), size))
		if rapid.IntRange(0, 9).Draw(t, "type") == 0 {
			e.Type = raftpb.EntryConfChangeV2.Enum()
		}
		entries = append(entries, e)
	}
	return entries
}

// actions of the state machine; what should happen more often stands there twice.
func (m *machine) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"install":    m.install,
		"extend":     m.extend,
		"conflict":   m.conflict,
		"hard":       m.hard,
		"checkpoint": func(t *rapid.T) { m.checkpoint(t, m.group(t)) },
		"pressure": func(t *rapid.T) {
			for _, id := range m.j.Pressure() {
				m.checkpoint(t, id)
			}
		},
		"destroy": m.destroy,
		"forget":  m.forget,
		"flush":   func(*rapid.T) { m.j.Flush() },
		"flush2":  func(*rapid.T) { m.j.Flush() },
		"rest": func(*rapid.T) {
			for range patience {
				m.j.Flush()
			}
		},
		"deliver":  m.deliver,
		"deliver2": m.deliver,
		"settle":   m.settle,
		"crash": func(t *rapid.T) {
			m.stop()
			m.open(t)
		},
		"syncFails": m.syncFails,
		"":          m.invariant,
	}
}

// live draws a group; what it gives is nil if the group has no replica.
func (m *machine) live(t *rapid.T) (api.GroupID, *modelGroup) {
	id := m.group(t)
	if g := m.now[id]; g != nil && g.replica != 0 {
		return id, g
	}
	return id, nil
}

func (m *machine) seldom() bool { return m.random.Chance(1, 4) }

func (m *machine) install(t *rapid.T) {
	id := m.group(t)
	in := Install{Replica: 1, Folder: m.random.Uint64() % 9}
	if g := m.now[id]; g != nil {
		in.Replica = max(g.replica, 1)
		if in.Replica == g.destroyed {
			in.Replica++
		}
		in.Index = g.last() + api.Index(rapid.Uint64Range(0, 3).Draw(t, "ahead"))
		in.Term = m.term
	}
	u := Update{Group: id, Install: &in}
	if rapid.Bool().Draw(t, "more") {
		u.Hard = &HardState{Term: m.term, Vote: 1, Commit: in.Index}
		u.Entries = m.entries(t, in.Index+1)
		u.Checkpoint = &Checkpoint{Index: in.Index, Segment: 1, Length: 10}
	}
	m.append(t, u)
}

func (m *machine) extend(t *rapid.T) {
	id, g := m.live(t)
	if g == nil {
		return
	}
	u := Update{Group: id, Entries: m.entries(t, g.last()+1)}
	if rapid.Bool().Draw(t, "hard too") {
		u.Hard = &HardState{Term: m.term, Commit: g.last()}
	}
	m.append(t, u)
}

func (m *machine) conflict(t *rapid.T) {
	id, g := m.live(t)
	if g == nil || len(g.entries) == 0 {
		return
	}
	back := api.Index(rapid.IntRange(0, len(g.entries)-1).Draw(t, "back"))
	m.append(t, Update{Group: id, Entries: m.entries(t, g.last()-back)})
}

// hard is a commit index alone, or a vote in a new term.
func (m *machine) hard(t *rapid.T) {
	id, g := m.live(t)
	if g == nil {
		return
	}
	hard := g.hard
	hard.Commit = g.last()
	if rapid.Bool().Draw(t, "vote") {
		m.term++
		hard.Term, hard.Vote = m.term, api.ReplicaID(m.random.Below(3))
	}
	m.append(t, Update{Group: id, Hard: &hard})
}

func (m *machine) destroy(t *rapid.T) {
	id, g := m.live(t)
	if g == nil || !m.seldom() {
		return
	}
	u := Update{Group: id, Destroyed: g.replica}
	if rapid.Bool().Draw(t, "another") {
		u.Destroyed = g.replica + 1000
	}
	m.append(t, u)
}

func (m *machine) forget(t *rapid.T) {
	id := m.group(t)
	if m.now[id] != nil && m.seldom() {
		m.append(t, Update{Group: id, Forget: true})
	}
}

func (m *machine) deliver(*rapid.T) {
	m.disk.deliver()
	m.catchUp()
}

func (m *machine) syncFails(t *rapid.T) {
	if !m.j.flying || m.random.Chance(1, 2) {
		return
	}
	m.disk.dropPages(m.j.live[len(m.j.live)-1].slot.name)
	m.disk.run()
	if !m.failed {
		t.Fatal("a failed sync went unnoticed")
	}
	m.stop()
	m.open(t)
}

func (m *machine) checkpoint(t *rapid.T, id api.GroupID) {
	g := m.now[id]
	if g == nil || g.replica == 0 {
		return
	}
	index := g.first() - 1 + api.Index(rapid.IntRange(0, len(g.entries)).Draw(t, "checkpoint"))
	m.append(t, Update{Group: id, Checkpoint: &Checkpoint{Index: index, Segment: index, Length: int64(index)}})
}

// settle waits for everything that somebody waits for.
func (m *machine) settle(t *rapid.T) {
	for range 6 {
		m.j.Flush()
		m.disk.run()
	}
	m.catchUp()
	if !m.j.Idle() {
		t.Fatal("not idle after everything was flushed")
	}
}

func (m *machine) invariant(t *rapid.T) {
	if m.failed {
		t.Fatal("the journal failed")
	}
	if n := len(m.disk.names); n > m.opts.Files {
		t.Fatalf("%d files, want at most %d", n, m.opts.Files)
	}
	homes := map[*file]*file{}
	for _, i := range m.j.images {
		if i.home != nil {
			if homes[i.home] == nil {
				homes[i.home] = &file{}
			}
			homes[i.home].images++
			homes[i.home].bytes += i.bytes
		}
	}
	for _, f := range m.j.live {
		want := homes[f]
		if want == nil {
			want = &file{}
		}
		if f.images != want.images || f.bytes != want.bytes {
			t.Fatalf("file from batch %d: %d images of %d bytes, want %d of %d", f.first, f.images, f.bytes, want.images, want.bytes)
		}
	}
	if !slices.IsSorted(m.j.Pressure()) {
		t.Fatal("pressure is not sorted")
	}
}

// TestMain asks rapid for longer runs than it would make; its flags still count.
func TestMain(m *testing.M) {
	for _, err := range []error{flag.Set("rapid.steps", "400"), flag.Set("rapid.checks", "150")} {
		if err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// Whatever happens, after a crash the images are those of a prefix of the updates
// that holds every promised one.
func TestMachine(t *testing.T) {
	marks := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		t.Repeat(newMachine(t, marks).actions())
	})
	for _, name := range []string{
		"journal: file recycled", "journal: images written again", "journal: torn end cut",
	} {
		if marks[name] < 3 {
			t.Errorf("%s: %d times", name, marks[name])
		}
	}
	t.Log(marks)
}

// dropPages makes a sync in flight fail as Linux does: what was written stays
// readable, is not on the disk, and the next sync knows nothing of it.
func (d *memDisk) dropPages(name string) {
	d.names[name].pending = nil
	d.queue = nil
	waiting := d.Files
	d.Files = files.New(d)
	waiting.Synced(d.tickets[name], env.ErrIO)
}
