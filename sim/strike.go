package sim

import (
	"fmt"
	"slices"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/bundle"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/histories"
	"github.com/reprise-mq/reprise/sim/disk"
	"github.com/reprise-mq/reprise/sim/plan"
	"github.com/reprise-mq/reprise/sim/world"
)

// armed is a fault that waits for its moment.
type armed struct {
	index  int
	fault  *plan.Fault
	node   *node // nil where any leader of group will do
	group  api.GroupID
	term   api.Term // of the group's newest leader when the fault's time came
	struck bool
}

// fuse is how long a fault waits for its moment before it strikes anyhow.
const fuse = 2 * env.Second

// arm is called when a fault's time has come.
func (r *run) arm(index int, f *plan.Fault) {
	if r.healed {
		return
	}
	a := &armed{index: index, fault: f}
	if f.Moment == plan.AtOnce {
		r.strike(a)
		return
	}
	a.node, a.group = r.target(f)
	_, a.term, _ = r.oracle.Leader(a.group)
	r.armed = append(r.armed, a)
	r.world.Agenda.After(fuse, func() { r.trigger(a, 0) })
}

// trigger makes an armed fault strike, once.
func (r *run) trigger(a *armed, delay env.Time) {
	if a.struck {
		return
	}
	a.struck = true
	r.armed = slices.DeleteFunc(r.armed, func(x *armed) bool { return x == a })
	r.world.Agenda.After(delay, func() {
		if !r.healed {
			r.strike(a)
		}
	})
}

// synced is called whenever a host asks its disk for a sync.
func (r *run) synced(host env.Endpoint) {
	for _, a := range slices.Clone(r.armed) {
		if a.fault.Moment == plan.Syncing && a.node != nil && a.node.host.Name == host {
			r.trigger(a, env.Time(a.fault.Delay)*env.Microsecond)
		}
	}
}

// copies is called when a node begins to copy a snapshot.
func (r *run) copies(n *node) {
	for _, a := range slices.Clone(r.armed) {
		if a.fault.Moment == plan.Copying {
			if a.node = n; a.fault.Target.Role != "" {
				a.node = nil // whoever has the role when it strikes
			}
			r.trigger(a, env.Time(a.fault.Delay)*env.Microsecond)
		}
	}
}

// mends is called when a node has found a damaged segment.
func (r *run) mends() {
	for _, a := range slices.Clone(r.armed) {
		if a.fault.Moment == plan.Mending {
			r.trigger(a, env.Time(a.fault.Delay)*env.Microsecond)
		}
	}
}

// sent is called with what one node sends another.
func (r *run) sent(host env.Endpoint, batch *api.PeerBatch) {
	for _, a := range slices.Clone(r.armed) {
		if a.begins(batch) {
			if n := r.named(host); n != nil {
				a.node = n
				r.trigger(a, env.Time(a.fault.Delay)*env.Microsecond)
			}
		}
	}
}

// begins reports whether a batch is the moment of a fault: something in it that has
// to do with its group.
func (a *armed) begins(batch *api.PeerBatch) bool {
	for group, m := range bundle.Messages(batch) {
		if group == a.group && a.is(m) {
			return true
		}
	}
	return false
}

func (a *armed) is(m *raftpb.Message) bool {
	switch a.fault.Moment {
	case plan.Proposing:
		return m.GetType() == raftpb.MsgApp && len(m.GetEntries()) > 0
	case plan.Asking:
		return m.GetType() == raftpb.MsgHeartbeat && len(m.GetContext()) > 0
	case plan.Voting:
		return m.GetType() == raftpb.MsgVoteResp && !m.GetReject()
	case plan.Elected:
		return m.GetType() == raftpb.MsgApp && api.Term(m.GetTerm()) > a.term
	}
	return false
}

func (r *run) named(host env.Endpoint) *node {
	for _, n := range r.nodes {
		if n.host.Name == host {
			return n
		}
	}
	return nil
}

// strike makes a fault happen. What it does to whom it says; a fault that finds
// nobody to hit has not fired.
func (r *run) strike(a *armed) {
	f := a.fault
	if a.node == nil {
		a.node, a.group = r.target(f)
	}
	fired := false
	switch f.Kind {
	case plan.Join, plan.Move, plan.Elect:
		fired = r.act(a)
	case plan.RetainTime, plan.RetainBytes, plan.SegmentBytes, plan.MessageBytes, plan.AddPartitions:
		fired = r.change(f)
	case plan.Permit:
		fired = r.permit(f)
	case plan.CrashAll:
		fired = r.crashAll(a)
	case plan.RollingRestart:
		fired = r.rollingRestart(a)
	case plan.CrashClient, plan.PauseClient, plan.ClientClock:
		fired = r.hitClient(a.fault)
	case plan.BitFlip, plan.BadSector:
		fired = r.rot(f)
	case plan.LostSegment:
		fired = r.loseSegments(a)
	case plan.Malformed:
		fired = r.malformed(a)
	case plan.RogueProducer:
		fired = r.rogueProducer(f)
	case plan.RogueMember:
		fired = r.rogueMember(f)
	case plan.LostDisk, plan.JournalRot, plan.LostJournal, plan.Leave:
		fired = r.part(a)
	case plan.OldImage:
		fired = r.returns(f)
	case plan.Weather, plan.Isolate, plan.CutOff, plan.OneWay, plan.CutPair, plan.Flap, plan.CutClients, plan.CutClient,
		plan.Bridge, plan.Ring:
		fired = r.disturb(a)
	default:
		fired = r.hit(a)
	}
	if fired {
		r.counts.Faults[string(f.Kind)]++
	}
}

// noLimit is a disk that is never full.
const noLimit = -1

// hit strikes one node.
func (r *run) hit(a *armed) bool {
	f, n := a.fault, a.node
	if n == nil || !n.host.Up() {
		return false
	}
	switch f.Kind {
	case plan.Crash:
		r.power(n, f)
		r.later(a, n.boot)
	case plan.Kill:
		n.kill()
		r.later(a, n.boot)
	case plan.Pause:
		n.host.Pause()
		r.later(a, n.host.Resume)
	case plan.SlowNode:
		n.host.Slow(f.Strength)
		r.later(a, func() { n.host.Slow(0) })
	case plan.Shutdown:
		n.leaving = true
		n.host.Do(func(env.Process) { n.broker.Shutdown() })
		r.later(a, n.boot)
	case plan.CrashLoop:
		r.crashLoop(a)
	case plan.Drift:
		n.host.Drift(f.Strength)
		r.later(a, func() { n.host.Drift(world.TrueRate) })
	case plan.Freeze:
		n.host.Freeze()
		n.leapt = r.world.Agenda.Now() + env.Time(f.Length)*env.Millisecond + env.Second
		r.later(a, n.host.Thaw)
	case plan.WallJump:
		n.host.ShiftWall(wallShift(f))
		r.later(a, func() { n.host.ShiftWall(0) })
	case plan.SlowDisk:
		n.host.Disk.Slow(f.Strength)
		r.later(a, func() { n.host.Disk.Slow(1) })
	case plan.StallDisk:
		n.host.Disk.Stall(r.world.Agenda.Now() + env.Time(f.Length)*env.Millisecond)
		r.later(a, func() {})
	case plan.FullDisk:
		n.cramped = n.cramped || f.Strength*1024 < n.need()
		n.host.Disk.Fill(f.Strength * 1024)
		r.later(a, func() { n.host.Disk.Fill(noLimit) })
	case plan.Misdirect:
		if !r.mayRot(n) {
			return false
		}
		n.host.Disk.Misdirect()
	case plan.StaleRead:
		for range f.Strength {
			n.host.Disk.ReadStale()
		}
	case plan.FailWrite:
		n.host.Disk.FailWrite()
	case plan.FailSync:
		n.host.Disk.FailSync()
	default:
		panic(fmt.Sprintf("sim: a fault of unknown kind %q", f.Kind))
	}
	r.noteFault(f, string(n.host.Name), histories.Begin)
	return true
}

// power cuts the power of a node.
func (r *run) power(n *node, f *plan.Fault) {
	loss := n.crash(disk.Crash{Lose: f.Lose, Mix: f.Mix, Tear: f.Tear})
	if loss.Bytes > 0 {
		r.counts.LossyCrashes++
	}
	r.counts.LostBytes += loss.Bytes
	r.counts.TornWrites += loss.Torn
	r.tell(string(n.host.Name), "loses power: %d bytes of %d writes lost, %d torn, %d names", loss.Bytes, loss.Writes, loss.Torn, loss.Names)
}

func (r *run) crashAll(a *armed) bool {
	any := false
	for i, n := range r.nodes {
		if !n.host.Up() {
			continue
		}
		any = true
		r.power(n, a.fault)
		// They come back one after the other.
		back := env.Time(a.fault.Length) * env.Millisecond * env.Time(i+1) / env.Time(len(r.nodes))
		r.world.Agenda.After(back, func() {
			if !r.healed {
				n.boot()
			}
		})
	}
	r.noteFault(a.fault, "all nodes", histories.Begin)
	r.later(a, func() {})
	return any
}

// later ends a fault when its length has passed, unless the heal came first.
func (r *run) later(a *armed, end func()) {
	f, target := a.fault, ""
	if a.node != nil {
		target = string(a.node.host.Name)
	}
	r.world.Agenda.After(env.Time(f.Length)*env.Millisecond, func() {
		if !r.healed {
			r.noteFault(f, target, histories.End)
			end()
		}
	})
}

// noteFault puts a fault beside the history.
func (r *run) noteFault(f *plan.Fault, target string, phase histories.Phase) {
	r.recorder.Note(r.now(), histories.Note{Op: histories.Fault, Name: string(f.Kind), Target: target, Phase: phase})
	if phase != histories.End {
		r.tell(target, "fault: %s", describe(f))
	}
}

// describe writes a fault for people.
func describe(f *plan.Fault) string {
	text := string(f.Kind)
	if f.Length > 0 {
		text += fmt.Sprintf(" for %d ms", f.Length)
	}
	if f.Moment != plan.AtOnce {
		text += fmt.Sprintf(" %d us after %s", f.Delay, f.Moment)
	}
	if f.Strength > 0 {
		text += fmt.Sprintf(", strength %d", f.Strength)
	}
	switch {
	case f.OneWay:
		text += ", one way"
	case f.Inward && f.Kind == plan.WallJump:
		text += ", back"
	}
	return text
}
