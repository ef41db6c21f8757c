package oracle

import (
	"bytes"
	"maps"
	"path"
	"slices"
	"strings"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/reprise-mq/reprise/broker"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/segment"
)

// look is what was last seen of a replica in memory.
type look struct {
	replica         api.ReplicaID
	commit, applied api.Index
}

// Look holds what a node has in memory against its log.
func (o *Oracle) Look(name env.Endpoint, views []broker.GroupView) {
	h := o.hosts[name]
	for i := range views {
		o.look(h, &views[i])
	}
}

func (o *Oracle) look(h *host, v *broker.GroupView) {
	o.stats.States++
	g := o.group(v.Group)
	before := h.seen[v.Group]
	if before.replica == v.Replica && (v.Commit < before.commit || v.Applied < before.applied) {
		o.fail(CommitRegress, "%s: replica %d of group %d went back from commit %d, applied %d to commit %d, applied %d",
			h.name, v.Replica, v.Group, before.commit, before.applied, v.Commit, v.Applied)
	}
	h.seen[v.Group] = look{v.Replica, v.Commit, v.Applied}
	switch {
	case v.Applied == 0:
		return // a joiner that has had no snapshot
	case v.Applied > g.last() && h.disk.Ill():
		return // its disk did not take what it applied last
	case v.Applied > g.last():
		o.fail(LogMismatch, "%s: replica %d of group %d has applied up to %d, and no disk has more than %d",
			h.name, v.Replica, v.Group, v.Applied, g.last())
	case fingerprint(v.State) != g.state(v.Applied):
		o.fail(LiveReplay, "%s: the state of replica %d of group %d after entry %d is not what the log amounts to",
			h.name, v.Replica, v.Group, v.Applied)
	case !sameConf(v.Conf, g.conf(v.Applied)):
		o.fail(ConfMismatch, "%s: replica %d of group %d after entry %d has configuration %s, and by the log it is %s",
			h.name, v.Replica, v.Group, v.Applied, confText(v.Conf), confText(g.conf(v.Applied)))
	default:
		o.reaches(h, g, v)
	}
}

// reaches holds the files of a replica to reaching down to the log start.
func (o *Oracle) reaches(h *host, g *group, v *broker.GroupView) {
	if g.machine.meta != nil {
		return
	}
	start, _ := g.machine.bounds()
	if slices.ContainsFunc(h.disk.Short(), func(name string) bool { return strings.HasPrefix(name, v.Folder) }) {
		return // the disk has lost some
	}
	for _, name := range h.disk.Names() {
		if !strings.HasPrefix(name, v.Folder) {
			continue
		}
		f, _, err := segment.DecodeFrame(v.Group, h.disk.Contents(name))
		if err == nil && f.Base > start {
			o.fail(RecordsMissing, "%s: the files of replica %d of group %d begin at offset %d, and the log start is %d",
				h.name, v.Replica, v.Group, f.Base, start)
		}
		return // the first file is the oldest
	}
}

// Needed reports whether a segment that a disk has lost has to be there still: its log is,
// and does not reach down to the log start without it.
func (o *Oracle) Needed(host env.Endpoint, file string) bool {
	d := o.hosts[host].disk
	id, _ := segmentOf(file)
	start, _ := o.group(id).machine.bounds()
	for _, name := range d.Names() {
		if path.Dir(name) != path.Dir(file) {
			continue
		}
		f, _, err := segment.DecodeFrame(id, d.Contents(name))
		return name <= file || err != nil || f.Base > start // the first file is the oldest
	}
	return false
}

// Conf is a group's configuration as of its last committed entry, and that
// entry's index; false if nothing is known of the group.
func (o *Oracle) Conf(id api.GroupID) (*raftpb.ConfState, api.Index, bool) {
	g := o.groups[id]
	if g == nil || g.last() == 0 {
		return nil, 0, false
	}
	return g.conf(g.last()), g.last(), true
}

// Groups are the groups of which anything is known, ascending.
func (o *Oracle) Groups() []api.GroupID { return slices.Sorted(maps.Keys(o.groups)) }

// Place is where a live replica's segments stand.
type Place struct {
	Host   env.Endpoint
	Folder string
}

// CompareFiles holds the segment files of a group's replicas, all caught up,
// against each other: a file that two of them have must be the same, byte for
// byte.
func (o *Oracle) CompareFiles(id api.GroupID, places []Place) {
	type owned struct {
		host env.Endpoint
		data []byte
	}
	first := make(map[string]owned)
	for _, p := range places {
		h := o.hosts[p.Host]
		newest := ""
		for _, name := range h.disk.Names() {
			if !strings.HasPrefix(name, p.Folder) {
				continue
			}
			newest = name
			base, data := path.Base(name), h.disk.Contents(name)
			other, ok := first[base]
			if !ok {
				first[base] = owned{p.Host, data}
			} else if !bytes.Equal(other.data, data) {
				o.fail(ReplicaMismatch, "group %d: %s is %d bytes on %s and %d on %s, and differs at byte %d",
					id, base, len(other.data), other.host, len(data), p.Host, differs(other.data, data))
			}
		}
		if newest == "" {
			o.fail(ReplicaMismatch, "group %d: %s has no segments in %q", id, p.Host, p.Folder)
		}
	}
}

// differs is the first byte in which two files differ.
func differs(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
