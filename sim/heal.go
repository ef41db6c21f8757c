package sim

import (
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/reprise-mq/reprise/broker"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/sim/disk"
	"github.com/reprise-mq/reprise/sim/oracle"
)

// heal ends every fault (a stalled disk ends its stall by itself), and waits for the cluster to be well again.
func (r *run) heal() {
	r.healed, r.armed = true, nil
	for i := range r.plan.Faults {
		r.world.HealFault(i)
	}
	for _, n := range slices.Clone(r.nodes) {
		n.host.Resume()
		if n.gone {
			n.replace() // nobody has so far
			continue
		}
		if n.leaving {
			n.kill()
		}
		n.host.Slow(0)
		n.host.SetClockRight()
		n.host.Disk.Slow(1)
		n.host.Disk.Fill(noLimit)
		n.host.Disk.CallOff()
		n.boot()
	}
	for _, c := range r.clients {
		c.host.Resume()
		c.host.SetClockRight()
		c.comeBack()
	}
	r.tell("", "everything heals")
	r.recover("the heal")
}

// blackout cuts the power of all nodes at once, and nothing that was not synced
// survives: what was acknowledged must.
func (r *run) blackout() {
	if !r.plan.Blackout {
		return
	}
	for _, n := range r.nodes {
		r.counts.LostBytes += n.crash(disk.Crash{Lose: 100}).Bytes
	}
	r.tell("", "the power of all nodes fails")
	for _, n := range r.nodes {
		n.boot()
	}
	r.recover("the blackout")
}

// recover waits until all is well, at most as long as the plan allows.
func (r *run) recover(from string) {
	began := r.world.Agenda.Now()
	if r.plan.Unrestricted {
		r.until(r.liveness(), func() bool { return r.answered() && r.converged() })
		r.giveUp()
		return
	}
	if !r.until(r.liveness(), func() bool { return r.answered() && r.converged() }) {
		name := Stuck
		if r.damage() != "" {
			name = DamageLeft
		}
		r.fail(name, "%d ms after %s: %s", r.plan.Liveness, from, r.missing())
		return
	}
	took := (r.world.Agenda.Now() - began) / env.Millisecond
	r.counts.HealMillis = max(r.counts.HealMillis, int64(took))
	r.tell("", "all is well again %d ms after %s", took, from)
}

// giveUp ends what clients still have to do: there may be nobody to do it with.
func (r *run) giveUp() {
	for _, c := range r.clients {
		if !c.done {
			c.crash()
			c.done = true
		}
	}
}

// answered reports whether the clients are done.
func (r *run) answered() bool {
	for _, c := range r.clients {
		if !c.done {
			return false
		}
	}
	return r.pending == 0
}

// lookEvery is how often, in virtual time, the wait looks whether all is well.
const lookEvery = 50 * env.Millisecond

// converged reports whether every node serves, and every group has a leader, the
// configuration that meta wants, and the whole log on every member. It looks now and then
// only.
func (r *run) converged() bool {
	now := r.world.Agenda.Now()
	if now < r.nextLook {
		return false
	}
	r.nextLook = now + lookEvery
	return r.unsettled() == ""
}

// unsettled says what is not well yet, "" if all is.
func (r *run) unsettled() string {
	if what := r.damage(); what != "" {
		return what
	}
	for _, n := range r.nodes {
		if n.host.Up() && n.broker != nil && !n.outside() && !n.broker.Serves() {
			return fmt.Sprintf("%s has not joined yet, or does not serve again", n.host.Name)
		}
	}
	for _, d := range r.departures {
		if !d.done {
			return fmt.Sprintf("%s is not out of the cluster yet%s", d.node.host.Name, d.why)
		}
	}
	views := r.views()
	for _, id := range r.wantedGroups() {
		if what := r.unsettledGroup(id, views[id]); what != "" {
			return what
		}
		if what := r.oracle.Unretained(id); what != "" && id != api.MetaGroup {
			return what
		}
	}
	return ""
}

// damage says which file is not as it was written, or not there, "" if all are.
func (r *run) damage() string {
	for _, n := range r.nodes {
		if name := n.host.Disk.Spoilt(); name != "" && !n.outside() && !strings.HasPrefix(name, journalFolder) {
			return fmt.Sprintf("%s: %s is damaged still", n.host.Name, name)
		}
		for _, name := range n.host.Disk.Short() {
			if !n.outside() && r.oracle.Needed(n.host.Name, name) {
				return fmt.Sprintf("%s: %s is missing still, or its end", n.host.Name, name)
			}
		}
	}
	return ""
}

// missing says what the run still waits for.
func (r *run) missing() string {
	if r.readers != nil && r.produced() && !r.answered() {
		return fmt.Sprintf("%s; %s", r.readers.missing(), r.unsettled())
	}
	for _, c := range r.clients {
		if !c.done && c.runner != nil {
			return fmt.Sprintf("client %s has %d operations to begin, and %d are under way in all; %s",
				c.host.Name, c.runner.Left(), r.pending, r.unsettled())
		}
	}
	if what := r.unsettled(); what != "" {
		return what
	}
	return fmt.Sprintf("%d operations are not answered", r.pending)
}

// seen is a replica as its node shows it.
type seen struct {
	node *node
	broker.GroupView
}

// views lets every node show its replicas, by group.
func (r *run) views() map[api.GroupID][]seen {
	all := make(map[api.GroupID][]seen)
	for _, n := range r.nodes {
		if !n.host.Up() || n.broker == nil || n.outside() {
			continue
		}
		for _, v := range n.broker.Inspect() {
			all[v.Group] = append(all[v.Group], seen{n, v})
		}
	}
	return all
}

// wantedGroups are the meta group and those of the topics that there are.
func (r *run) wantedGroups() []api.GroupID {
	groups := []api.GroupID{api.MetaGroup}
	if m := r.oracle.Meta(); m != nil {
		for _, t := range m.Topics() {
			for _, p := range t.Partitions {
				groups = append(groups, p.Group)
			}
		}
	}
	return groups
}

// unsettledGroup says what is not well with a group yet.
func (r *run) unsettledGroup(id api.GroupID, views []seen) string {
	conf, last, ok := r.oracle.Conf(id)
	if !ok {
		return fmt.Sprintf("group %d has no log yet", id)
	}
	if what := r.unwanted(id, conf); what != "" {
		return fmt.Sprintf("group %d: %s", id, what)
	}
	led := false
	for _, member := range slices.Concat(conf.GetVoters(), conf.GetLearners()) {
		at := slices.IndexFunc(views, func(v seen) bool { return v.Replica == api.ReplicaID(member) })
		if at < 0 {
			return fmt.Sprintf("group %d: replica %d runs nowhere", id, member)
		}
		if v := views[at]; v.Applied != last {
			return fmt.Sprintf("group %d: replica %d on %s has applied %d of %d entries", id, member, v.node.host.Name, v.Applied, last)
		}
		led = led || views[at].Leads
	}
	if !led {
		return fmt.Sprintf("group %d has no leader", id)
	}
	return ""
}

// unwanted says in which way a configuration is not yet what meta wants.
func (r *run) unwanted(id api.GroupID, conf *raftpb.ConfState) string {
	if len(conf.GetVotersOutgoing()) > 0 {
		return "its configuration is joint"
	}
	m := r.oracle.Meta()
	var voters, learners []api.ReplicaID
	if id == api.MetaGroup {
		voters, learners = m.MetaConfig()
	} else {
		voters = m.PartitionOf(id).Wanted()
	}
	for _, kind := range []struct {
		name string
		have []uint64
		want []api.ReplicaID
	}{{"voters", conf.GetVoters(), voters}, {"learners", conf.GetLearners(), learners}} {
		have, want := slices.Sorted(slices.Values(kind.have)), numbers(kind.want)
		if !slices.Equal(have, want) {
			return fmt.Sprintf("%s %v, and %v are wanted", kind.name, have, want)
		}
	}
	if id != api.MetaGroup && m.PartitionOf(id).Changing() {
		return "meta has not heard that its replicas have changed"
	}
	return ""
}

func numbers(ids []api.ReplicaID) []uint64 {
	var out []uint64
	for _, id := range ids {
		out = append(out, uint64(id))
	}
	slices.Sort(out)
	return out
}

// end starts every node again on what its disk has, and holds the states that come
// of it, and the files, against the logs and each other. No client sees any of it.
func (r *run) end() {
	if r.blackBox || r.plan.Unrestricted {
		return
	}
	for _, n := range r.nodes {
		n.kill()
		n.boot()
	}
	r.recover("the last restart")
	r.oracle.Ended()
	r.checkPermissions()
	views := r.views()
	for _, n := range r.nodes {
		n.look()
	}
	for _, id := range r.wantedGroups() {
		var places []oracle.Place
		for _, v := range views[id] {
			places = append(places, oracle.Place{Host: v.node.host.Name, Folder: v.Folder})
		}
		r.oracle.CompareFiles(id, places)
	}
}
