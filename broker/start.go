package broker

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/command"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/journal"
	"github.com/reprise-mq/reprise/broker/meta"
	"github.com/reprise-mq/reprise/broker/partition"
	"github.com/reprise-mq/reprise/broker/replica"
	"github.com/reprise-mq/reprise/broker/segment"
	"github.com/reprise-mq/reprise/broker/trace"
)

// Why a node cannot start.
var (
	// ErrNoCluster: the disk is empty and the node was told neither to found a
	// cluster nor to join one.
	ErrNoCluster = errors.New("the data folder is empty: found a new cluster with --init, or join one with --join HOST:PORT")
	// ErrWrongCluster: the disk belongs to another cluster than the one that the
	// node was told to join. Start it without --join, or on another folder.
	ErrWrongCluster = errors.New("the data folder belongs to another cluster")
	// ErrIdentity: the journal is there but the node's identity is not, or cannot be
	// read. Move the folder away and join again: the node gets a new identity.
	ErrIdentity = errors.New("the file identity is missing or damaged, and without it the journal cannot be trusted: move the data folder away and join the cluster again")
	// ErrMixed: the identity and the journal are of two nodes, or of two lives of one. Put
	// back what belongs together, or move the data folder away and join again.
	ErrMixed = errors.New("the data folder has the identity of one node and the journal of another: put back what belongs together, or move the data folder away and join the cluster again")
)

const (
	groupsFolder  = "groups/"
	journalFolder = "journal/"
	// How long a node waits between two attempts to join.
	joinPause = 500 * env.Millisecond
	// Of how many attempts to join that fail one is told.
	joinTold = 20
	// How often a node that has data asks each of those it is told to join for
	// their cluster, until they answer.
	maxClusterChecks = 60
)

// open reads who the node is and goes on from there.
func (n *Node) open() {
	n.meta = &metaGroup{state: meta.New()}
	n.meta.group = n.newGroup(api.MetaGroup)
	n.files.Load(identityFile, 0, maxIdentityBytes, func(data []byte, err error) {
		switch {
		case errors.Is(err, env.ErrNotExist):
			n.begin(false)
		case err != nil:
			n.Fail(fmt.Errorf("read %s: %w", identityFile, err))
		default:
			n.recognise(data)
		}
	})
}

// recognise takes the identity that is on the disk. One that a crash cut short
// while it was first written is as good as none. What is there may have been
// written by a life that ended before its sync, so it is made durable first.
func (n *Node) recognise(data []byte) {
	who, ok := decodeIdentity(data)
	if !ok {
		n.begin(true)
		return
	}
	n.harden(identityFile, who, func() {
		n.files.Remove(tokenFile) // a power failure may have brought it back
		n.checkCluster()
		n.openJournal(true, n.goOn)
	})
}

// begin makes a journal and then an identity for an empty disk, so that whoever has an
// identity had a journal: one that is not there has been lost, with all that was promised
// in it. torn: there is the beginning of an identity.
func (n *Node) begin(torn bool) {
	told := n.cfg.Init || len(n.cfg.Join) > 0
	n.files.List(journalFolder, func(entries []env.FileInfo, err error) {
		if err != nil || len(entries) == 0 && !told {
			n.Fail(cmp.Or(err, ErrNoCluster))
			return
		}
		n.openJournal(false, func() {
			switch {
			case len(n.journal.Groups()) > 0:
				n.Fail(ErrIdentity)
				return
			case !told:
				n.Fail(ErrNoCluster)
				return
			case torn:
				n.files.Remove(identityFile)
			}
			n.identify()
		})
	})
}

// identify makes the identity of a founder, or asks for one.
func (n *Node) identify() {
	switch {
	case n.cfg.Init:
		cluster, token := make([]byte, 16), make([]byte, tokenBytes)
		_, _ = n.world.Random.Read(cluster)
		_, _ = n.world.Random.Read(token)
		who := identity{
			cluster: hex.EncodeToString(cluster), node: 1, replica: 1, token: token,
			founded: string(n.cfg.Address), segmentBytes: n.cfg.SegmentBytes,
		}
		// Once it has an identity it could not be told otherwise.
		if _, e := meta.Found(who.cluster, who.founded, who.token, who.segmentBytes); e != nil {
			n.Fail(fmt.Errorf("found a cluster: %w", e))
			return
		}
		n.keep(identityFile, who, n.goOn)
	default:
		n.findToken()
	}
}

// keep writes an identity to a new file and goes on once it is durable.
func (n *Node) keep(name string, who identity, then func()) {
	n.files.Create(name, 0)
	n.harden(name, who, then)
}

// harden writes an identity to its file, makes the file and its name durable, and
// goes on with it.
func (n *Node) harden(name string, who identity, then func()) {
	n.files.WriteAt(name, 0, who.encode())
	n.files.Sync(name, func(err error) {
		if err != nil {
			n.Fail(fmt.Errorf("write %s: %w", name, err))
			return
		}
		n.files.Sync("", func(err error) {
			if err != nil {
				n.Fail(fmt.Errorf("write %s: %w", name, err))
				return
			}
			n.identity = who
			then()
		})
	})
}

// findToken takes the token of an earlier attempt to join, or draws one. Asking
// twice with one token gives one identity.
func (n *Node) findToken() {
	n.files.Load(tokenFile, 0, maxIdentityBytes, func(data []byte, err error) {
		who, ok := decodeIdentity(data)
		switch {
		case err == nil && ok:
			n.harden(tokenFile, who, func() { n.join(0) })
			return
		case err == nil:
			n.files.Remove(tokenFile)
		case !errors.Is(err, env.ErrNotExist):
			n.Fail(fmt.Errorf("read %s: %w", tokenFile, err))
			return
		}
		token := make([]byte, tokenBytes)
		_, _ = n.world.Random.Read(token)
		n.keep(tokenFile, identity{token: token}, func() { n.join(0) })
	})
}

// join asks the cluster for an identity, one node after the other, until one
// answers; each may name the leader of the meta group, who decides.
func (n *Node) join(attempt int) {
	n.phase = phaseJoining
	to := n.cfg.Join[attempt%len(n.cfg.Join)]
	n.askToJoin(to, func(e *api.Error) {
		if attempt%joinTold == 2 { // not at once: they may be starting too
			n.trace(trace.Event{Level: trace.Warn, Name: "the node waits to join", Detail: fmt.Sprintf("through %s: %v", to, e)})
		}
		n.timers.at(n.world.Clock.Now()+joinPause, func() { n.join(attempt + 1) })
	})
}

func (n *Node) askToJoin(to env.Endpoint, again func(*api.Error)) {
	q := &api.Request{Body: &api.Request_Join{Join: &api.JoinRequest{Token: n.identity.token, Address: string(n.cfg.Address)}}}
	n.calls.send(to, q, func(response *api.Response) {
		e := response.GetError()
		switch {
		case e == nil:
			j := response.GetJoin()
			n.keep(identityFile, identity{
				cluster: j.GetClusterId(), node: api.NodeID(j.GetNodeId()),
				replica: api.ReplicaID(j.GetMetaReplica()), token: n.identity.token,
			}, func() {
				n.files.Remove(tokenFile) // it would give this identity to another life
				n.goOn()
			})
		case e.GetCode() == api.Code_NOT_LEADER && e.GetLeaderAddress() != "" && env.Endpoint(e.GetLeaderAddress()) != to:
			n.askToJoin(env.Endpoint(e.GetLeaderAddress()), again)
		case e.GetCode().Retriable():
			again(e)
		default:
			n.Fail(fmt.Errorf("join through %s: %w", to, e))
		}
	})
}

// checkCluster refuses a disk of another cluster than the one it is told to join.
func (n *Node) checkCluster() {
	for _, to := range n.cfg.Join {
		n.askForCluster(to, maxClusterChecks)
	}
}

// askForCluster asks a node for its cluster, again if it is not ready or not there
// yet.
func (n *Node) askForCluster(to env.Endpoint, tries int) {
	q := &api.Request{Body: &api.Request_Metadata{Metadata: &api.MetadataRequest{}}}
	n.calls.send(to, q, func(response *api.Response) {
		theirs := response.GetMetadata().GetClusterId()
		switch {
		case theirs != "" && theirs != n.identity.cluster:
			n.Fail(fmt.Errorf("%w: it is of cluster %s, and %s of %s; start without --join, or on another folder",
				ErrWrongCluster, n.identity.cluster, to, theirs))
		case theirs == "" && tries > 1:
			n.timers.at(n.world.Clock.Now()+joinPause, func() { n.askForCluster(to, tries-1) })
		}
	})
}

// openJournal opens the journal, or begins one unless there must be one already.
func (n *Node) openJournal(must bool, then func()) {
	journal.Open(n.files, journal.Options{
		Folder:    journalFolder,
		Must:      must,
		FileBytes: n.cfg.JournalFileBytes,
		Files:     n.cfg.JournalFiles,
		Room:      func(bytes int64) bool { return n.world.Disk.Free()-bytes >= n.cfg.ReserveBytes },
		Salt:      n.world.Random.Uint64,
		Fail:      n.Fail,
		Trace:     n.trace,
	}, func(j *journal.Journal, err error) {
		if err != nil {
			n.Fail(err)
			return
		}
		n.journal = j
		then()
	})
}

// goOn opens what the node has, by its journal.
func (n *Node) goOn() {
	if image := n.journal.Image(api.MetaGroup); image != nil && image.Replica != n.identity.replica {
		n.Fail(fmt.Errorf("%w: replica %d of the meta group is this node's, and the journal is of replica %d",
			ErrMixed, n.identity.replica, image.Replica))
		return
	}
	n.clearLeftovers(n.openGroups)
}

// clearLeftovers removes the files of groups that the journal knows nothing of: a
// crash came between the end of a replica and that of its files.
func (n *Node) clearLeftovers(then func()) {
	n.files.List(groupsFolder, func(folders []env.FileInfo, err error) {
		if err != nil {
			n.Fail(err)
			return
		}
		left := 1
		done := func(err error) {
			if err != nil {
				n.Fail(err)
			}
			if left--; left == 0 && n.failed == nil {
				then()
			}
		}
		for _, folder := range folders {
			var id api.GroupID
			if _, err := fmt.Sscanf(folder.Name, groupsFolder+"%d/", &id); err != nil {
				continue
			}
			if id != api.MetaGroup && n.journal.Image(api.MetaGroup) == nil {
				n.Fail(fmt.Errorf("there is %s, of which it has nothing: %w", folder.Name, journal.ErrDamaged))
				return
			}
			if image := n.journal.Image(id); image == nil || image.Folder == 0 {
				left++
				n.removeGroupFolder(folder.Name, done)
			}
		}
		done(nil)
	})
}

// removeGroupFolder removes all logs of a group that has no replica here, and their folder.
func (n *Node) removeGroupFolder(name string, done func(error)) {
	n.files.List(name, func(logs []env.FileInfo, err error) {
		left := 1
		one := func(e error) {
			err = errors.Join(err, e)
			if left--; left > 0 {
				return
			}
			if err != nil {
				done(err)
				return
			}
			segment.RemoveAll(n.files, name, done)
		}
		for _, folder := range logs {
			left++
			segment.RemoveAll(n.files, folder.Name, one)
		}
		one(nil)
	})
}

// maxOpening bounds the replicas that are opened at a time: each has a piece of its newest
// segment in memory.
const maxOpening = 8

// openGroups opens every replica that the journal has, a few at a time, then serves.
func (n *Node) openGroups() {
	var left []*group
	for _, id := range n.journal.Groups() {
		switch {
		case n.journal.Image(id).Replica == 0:
		case id == api.MetaGroup:
			left = append(left, n.meta.group)
		default:
			left = append(left, n.newGroup(id))
		}
	}
	running := 1
	var done func()
	done = func() {
		running--
		for running < maxOpening && len(left) > 0 && n.failed == nil {
			g := left[0]
			left = left[1:]
			running++
			n.recover(g, n.journal.Image(g.id).Replica, done)
		}
		if running == 0 && n.failed == nil {
			n.serve()
		}
	}
	if n.journal.Image(api.MetaGroup) == nil {
		running++
		n.makeMeta(done)
	}
	done()
}

// recover opens a replica and calls ready; also when its log has to be restored,
// unless the node can do nothing without the group.
func (n *Node) recover(g *group, id api.ReplicaID, ready func()) {
	restoring := func() {
		g.restoring = true
		if g.id != api.MetaGroup {
			ready()
		}
	}
	replica.Recover(n.replicaConfig(g, id), restoring, func(r *replica.Replica, err error) {
		late := g.restoring && g.id != api.MetaGroup
		if err != nil {
			n.Fail(err)
			return
		}
		g.restoring = false
		n.opened(g, r)
		if !late {
			ready()
		}
	})
}

// makeMeta makes the node's replica of the meta group: the founder's holds the
// first state, any other waits for a snapshot.
func (n *Node) makeMeta(done func()) {
	made := func(r *replica.Replica) {
		n.opened(n.meta.group, r)
		done()
	}
	cfg := n.replicaConfig(n.meta.group, n.identity.replica)
	if n.identity.founded == "" {
		replica.Join(cfg, made)
		return
	}
	state, e := meta.Found(n.identity.cluster, n.identity.founded, n.identity.token, n.identity.segmentBytes)
	if e != nil {
		n.Fail(fmt.Errorf("found a cluster: %w", e))
		return
	}
	n.meta.state = state
	n.meta.group.campaigns = maxCampaigns
	replica.Bootstrap(cfg, []api.ReplicaID{n.identity.replica}, made)
}

// serve begins normal work.
func (n *Node) serve() {
	n.phase = phaseServing
	for _, id := range n.journal.Groups() {
		if n.journal.Image(id).Replica == 0 && n.ended(id) {
			n.bury(id)
		}
	}
	n.trace(trace.Event{Level: trace.Info, Name: "node serves", Detail: fmt.Sprintf("node %d of cluster %s", n.identity.node, n.identity.cluster)})
	n.meta.moved = true
	n.meta.group.replica.NeedPump()
}

func (n *Node) newGroup(id api.GroupID) *group {
	g := &group{node: n, id: id, waiting: make(map[command.Tag]func(*api.Response))}
	if id != api.MetaGroup {
		// A replica that is found again, or gets a snapshot, takes its state from there, and
		// becomes what that says.
		g.keepRecords(partition.New(0))
	}
	n.addGroup(g)
	return g
}
