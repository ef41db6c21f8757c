package world

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/netsim"
	"github.com/reprise-mq/reprise/sim/disk"
)

// talker is a process that notes what it is told, at which time.
type talker struct {
	place   Place
	world   *testWorld
	heard   []string
	flushes int
	boom    bool
}

func (p *talker) note(format string, args ...any) {
	at := p.world.Agenda.Now() / env.Millisecond
	p.heard = append(p.heard, fmt.Sprintf("%d: %s", at, fmt.Sprintf(format, args...)))
}

func (p *talker) Wake()                                    { p.note("wake") }
func (p *talker) Synced(t env.Ticket, _ error)             { p.note("synced %d", t) }
func (p *talker) Loaded(env.Ticket, []byte, error)         {}
func (p *talker) Listed(env.Ticket, []env.FileInfo, error) {}
func (p *talker) Receive(from env.Endpoint, m *api.Message) {
	p.note("%s says %d", from, m.GetRequest().GetId())
}
func (p *talker) Lost(peer env.Endpoint) { p.note("lost %s", peer) }
func (p *talker) Flush() {
	p.flushes++
	if p.boom {
		panic("boom")
	}
}

func (p *talker) say(to env.Endpoint, id uint64) {
	p.place.Network.Send(to, &api.Message{Body: &api.Message_Request{Request: &api.Request{Id: id}}})
}

// even is a network on which everything takes a millisecond.
var even = netsim.Profile{Latency: netsim.Time(env.Millisecond)}

// talk starts hosts of talkers, clients by names that begin with c.
func talk(t *testing.T, names ...env.Endpoint) (*testWorld, map[env.Endpoint]*Host, map[env.Endpoint]*talker) {
	w := newTestWorld(t, 1, even)
	hosts, talkers := make(map[env.Endpoint]*Host), make(map[env.Endpoint]*talker)
	for _, name := range names {
		hosts[name] = w.Host(name, Config{Disk: disk.Normal, Client: strings.HasPrefix(string(name), "c"), LateMax: env.Millisecond})
		talkers[name] = w.start(hosts[name])
	}
	w.pass(10 * env.Millisecond)
	return w, hosts, talkers
}

func (w *testWorld) start(h *Host) *talker {
	p := &talker{world: w}
	h.Start(func(place Place) env.Process {
		p.place = place
		return p
	})
	return p
}

func (w *testWorld) pass(d env.Time) { w.Run(w.Agenda.Now()+d, func() bool { return false }) }

func (p *talker) want(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(p.heard, want) {
		t.Errorf("heard %q, want %q", p.heard, want)
	}
	p.heard = nil
}

// A paused process hears nothing, and then everything, at the time of its return.
func TestPause(t *testing.T) {
	w, hosts, p := talk(t, "n1", "n2")
	hosts["n2"].Do(func(env.Process) { p["n2"].place.Clock.WakeAt(p["n2"].place.Clock.Now() + 5*env.Millisecond) })
	w.pass(0)
	hosts["n2"].Pause()
	flushes := p["n2"].flushes
	hosts["n1"].Do(func(env.Process) { p["n1"].say("n2", 7) })
	w.pass(100 * env.Millisecond)
	p["n2"].want(t)
	if p["n2"].flushes != flushes {
		t.Error("a paused process was flushed")
	}
	hosts["n2"].Resume()
	w.pass(env.Millisecond)
	p["n2"].want(t, "110: n1 says 7", "110: wake")
	if p["n2"].flushes != flushes+1 {
		t.Errorf("%d flushes after the pause", p["n2"].flushes-flushes)
	}
}

// A crash ends what was under way; the next life hears nothing of it, and its peers
// and clients learn that the last one is gone.
func TestLives(t *testing.T) {
	w, hosts, p := talk(t, "n1", "n2", "c1")
	hosts["c1"].Do(func(env.Process) { p["c1"].say("n1", 1) })
	w.pass(5 * env.Millisecond)
	p["n1"].want(t, "11: c1#1 says 1")
	hosts["n1"].Do(func(env.Process) {
		p["n1"].place.Disk.Sync(1, "")
		p["n1"].place.Clock.WakeAt(p["n1"].place.Clock.Now() + 3*env.Millisecond)
	})
	w.pass(0)
	hosts["n1"].Crash(disk.Crash{})
	old := p["n1"]
	p["n1"] = w.start(hosts["n1"])
	hosts["c1"].Do(func(env.Process) { p["c1"].say("n1", 2) }) // has not noticed yet
	w.pass(5 * env.Millisecond)
	old.want(t)
	p["n1"].want(t)
	p["n2"].want(t, "16: lost n1")
	p["c1"].want(t, "16: lost n1")
	hosts["c1"].Do(func(env.Process) { p["c1"].say("n1", 3) })
	w.pass(5 * env.Millisecond)
	p["n1"].want(t, "21: c1#2 says 3")
	if hosts["n1"].Life() != 2 {
		t.Errorf("life %d", hosts["n1"].Life())
	}
}

// A cut drops what nodes send, breaks a client's connection, and refuses a new one,
// until it heals.
func TestCut(t *testing.T) {
	w, hosts, p := talk(t, "n1", "n2", "c1")
	hosts["c1"].Do(func(env.Process) { p["c1"].say("n1", 1) })
	w.pass(5 * env.Millisecond)
	w.StartFault(1, netsim.Fault{Sides: [][]string{{"n1"}, {"n2", "c1"}}, Cut: true})
	hosts["n1"].Do(func(env.Process) {
		p["n1"].say("n2", 2)
		p["n1"].say("c1#1", 3)
	})
	w.pass(5 * env.Millisecond)
	p["n1"].want(t, "11: c1#1 says 1", "16: lost c1#1")
	p["n2"].want(t)
	p["c1"].want(t, "16: lost n1")
	hosts["c1"].Do(func(env.Process) { p["c1"].say("n1", 4) })
	w.pass(5 * env.Millisecond)
	p["c1"].want(t, "21: lost n1")
	w.HealFault(1)
	hosts["c1"].Do(func(env.Process) { p["c1"].say("n1", 5) })
	hosts["n2"].Do(func(env.Process) { p["n2"].say("n1", 6) })
	w.pass(5 * env.Millisecond)
	p["n1"].want(t, "26: c1#2 says 5", "26: n2 says 6")
	if w.Links().Cut == 0 {
		t.Error("nothing was counted")
	}
}

// A flapping cut breaks the connections that were made between.
func TestFlap(t *testing.T) {
	w, hosts, p := talk(t, "n1", "c1")
	w.StartFault(1, netsim.Fault{Sides: [][]string{{"n1"}, {"c1"}}, Cut: true, Flap: netsim.Time(10 * env.Millisecond)})
	w.pass(12 * env.Millisecond)
	hosts["c1"].Do(func(env.Process) { p["c1"].say("n1", 1) })
	w.pass(20 * env.Millisecond)
	p["n1"].want(t, "23: c1#1 says 1", "31: lost c1#1")
}

// A slow host comes to its flush late; others do at once.
func TestSlow(t *testing.T) {
	w, hosts, p := talk(t, "n1", "n2", "n3")
	hosts["n2"].Slow(50)
	for i := range uint64(20) {
		hosts["n1"].Do(func(env.Process) {
			p["n1"].say("n2", i)
			p["n1"].say("n3", i)
		})
		w.pass(2 * env.Millisecond)
	}
	if slow, fast := p["n2"].flushes, p["n3"].flushes; slow > 10 || fast < 20 {
		t.Errorf("%d flushes of a slow host, %d of another", slow, fast)
	}
}

// A panic takes its own process down, and is told.
func TestPanic(t *testing.T) {
	w, hosts, p := talk(t, "n1", "n2")
	told := ""
	w.Failed = func(h *Host, what string) { told = string(h.Name) + " " + what }
	p["n1"].boom = true
	hosts["n1"].Do(func(env.Process) {})
	w.pass(10 * env.Millisecond)
	if !strings.HasPrefix(told, "n1 boom\n") || hosts["n1"].Up() || !hosts["n2"].Up() {
		t.Errorf("told %.40q; n1 up %v, n2 up %v", told, hosts["n1"].Up(), hosts["n2"].Up())
	}
}

// Every byte that is delivered or written is in the digest.
func TestEveryByteCounts(t *testing.T) {
	digests := make(map[string]string)
	for _, c := range []struct {
		what string
		id   uint64
		data string
	}{{"plain", 1, "data"}, {"another message", 2, "data"}, {"another write", 1, "dato"}} {
		w, hosts, p := talk(t, "n1", "n2")
		hosts["n1"].Do(func(env.Process) {
			p["n1"].say("n2", c.id)
			p["n1"].place.Disk.Create("f", 0)
			p["n1"].place.Disk.Append("f", []byte(c.data))
		})
		w.pass(10 * env.Millisecond)
		if other, ok := digests[w.Digest.String()]; ok {
			t.Errorf("%s has the digest of %s", c.what, other)
		}
		digests[w.Digest.String()] = c.what
	}
}
