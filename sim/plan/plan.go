// Package plan is a run as data: who there is, what clients do, what goes wrong
// and when. A seed determines a plan; a plan, written as JSON, can be read, edited
// and run again.
//
// It owns the words for faults and the chances of each. It never runs anything.
package plan

import (
	"github.com/reprise-mq/reprise/netsim"
	"github.com/reprise-mq/reprise/workloads"
)

// Milliseconds of virtual time since the cluster was ready.
type Milliseconds int64

// Format is the version of the plan's form.
const Format = 1

// Plan is everything that determines a run.
type Plan struct {
	Format int    `json:"format"`
	Seed   uint64 `json:"seed"`
	// Nodes that found the cluster. Later ones join by faults of kind Join.
	Nodes  int    `json:"nodes"`
	Config Config `json:"config"`
	// Safety is how long faults may last; then everything heals, and within
	// Liveness all must be well again.
	Safety   Milliseconds `json:"safety_ms"`
	Liveness Milliseconds `json:"liveness_ms"`
	// Blackout: after the cluster has healed, the power of all nodes fails at once
	// and takes all that was not synced, before the final reads.
	Blackout bool `json:"blackout"`
	// Unrestricted: damage may hit any number of nodes, journals too, and what is lost
	// is not replaced. Then nothing need be well again after the heal: the cluster may
	// refuse to serve, but whatever it serves must be right.
	Unrestricted bool `json:"unrestricted,omitempty"`
	// Small: the thresholds of the standard plan do not apply.
	Small bool `json:"small,omitempty"`
	// Scenario that the plan consists of, nil for a standard plan.
	Scenario *Staged `json:"scenario,omitempty"`
	// Kept says why the plan is kept, if it is.
	Kept *Kept `json:"kept,omitempty"`
	// Families that are on.
	Families Families         `json:"families"`
	Faults   []Fault          `json:"faults"`
	Workload workloads.Config `json:"workload"`
	// Operations of the clients, as generated from the seed and Workload.
	Operations []workloads.Op `json:"operations"`
}

// Kept is what a plan that once failed is kept for.
type Kept struct {
	// Was is the verdict that it had, and Cause in a line what that came from.
	Was   string `json:"was"`
	Cause string `json:"cause,omitempty"`
	// Faults, by kind, and Marks that a run of it must still reach: without them it
	// passes for nothing.
	Faults []string `json:"faults"`
	Marks  []string `json:"marks"`
}

// Config is what the world and the nodes are like.
type Config struct {
	SegmentBytes     uint64 `json:"segment_bytes"`
	JournalFileBytes int64  `json:"journal_file_bytes"`
	JournalFiles     int    `json:"journal_files"`
	CheckpointBytes  int    `json:"checkpoint_bytes"`
	CopyBytes        int    `json:"copy_bytes"`
	// CopyRate bounds what a node copies in a second; 0 leaves it at the default.
	CopyRate   int64 `json:"copy_rate,omitempty"`
	TickMillis int64 `json:"tick_ms"`
	// LateIn and LateMicros: how often a process ends a burst late, one time in so
	// many, and how late at most.
	LateIn     int64 `json:"late_in"`
	LateMicros int64 `json:"late_us"`
	// Mixed: the nodes differ in what each may set for itself: its tick, and the sizes
	// of its journal, its checkpoints and what it copies at once.
	Mixed bool `json:"mixed,omitempty"`
	// DiskFactor multiplies the delays of a good disk.
	DiskFactor int64          `json:"disk_factor"`
	Network    netsim.Profile `json:"network"`
}

// Families says which families of faults are on.
type Families struct {
	Process    bool `json:"process"`
	Disk       bool `json:"disk"`
	Network    bool `json:"network"`
	Membership bool `json:"membership"`
	Clock      bool `json:"clock,omitempty"`
	Load       bool `json:"load,omitempty"`
}

// Kind is what a fault or an administrative act is.
type Kind string

// Kinds of faults and acts. Topics made and deleted, and records deleted, are
// operations of the clients.
const (
	// Crash: the power of a node fails; it comes back after Length.
	Crash Kind = "crash"
	// CrashAll: the power of all nodes fails; each comes back by itself.
	CrashAll Kind = "crash-all"
	// Kill: a node's process ends as by kill -9; its disk keeps what it was told,
	// synced or not.
	Kill Kind = "kill"
	// Pause: a node's process stands still for Length.
	Pause Kind = "pause"
	// SlowNode: a node does everything late.
	SlowNode Kind = "slow-node"
	// Shutdown: a node is asked to leave, and comes back after Length.
	Shutdown Kind = "shutdown"
	// CrashLoop: a node loses power again soon after each of Strength starts.
	CrashLoop Kind = "crash-loop"
	// RollingRestart: each node in turn is asked to leave and started again, one
	// after the other within Length.
	RollingRestart Kind = "rolling-restart"
	// CrashClient: a client ends with its operations under way.
	CrashClient Kind = "crash-client"
	// PauseClient: a client stands still for Length, and goes on as if nothing had
	// happened.
	PauseClient Kind = "pause-client"

	// SlowDisk: a node's disk takes Strength times as long.
	SlowDisk Kind = "slow-disk"
	// StallDisk: a node's disk answers nothing for Length.
	StallDisk Kind = "stall-disk"
	// FullDisk: a node's disk has room for Strength KiB only.
	FullDisk Kind = "full-disk"
	// BitFlip: Strength bits of a node's segments are not what was written.
	BitFlip Kind = "bit-flip"
	// BadSector: Strength sectors of a node's segments cannot be read until they are
	// written again.
	BadSector Kind = "bad-sector"
	// Misdirect: a write to a node's segments goes to another place of its file, or
	// nowhere.
	Misdirect Kind = "misdirect"
	// StaleRead: Strength reads of a node's segments each miss a write to a sector.
	StaleRead Kind = "stale-read"
	// LostSegment: a node is killed, and Strength of its segments are not there any more, or
	// are cut short; it comes back after Length.
	LostSegment Kind = "lost-segment"
	// LostDisk: a node loses all that it has and never comes back; a new one joins and
	// takes its place, replica by replica, and the old one is removed.
	LostDisk Kind = "lost-disk"
	// JournalRot: a node is killed, and a bit of its journal is not what was written. If
	// it cannot start for that, a new node takes its place as for LostDisk.
	JournalRot Kind = "journal-rot"
	// LostJournal: a node is killed, and of its journal there is no file left, as if another
	// disk had that and was not mounted; at Strength 2 only the newest file is gone. It must
	// not start on the rest, and a new node takes its place as for LostDisk.
	LostJournal Kind = "lost-journal"
	// OldImage: a node that was lost, and removed from the cluster, starts on the disk that
	// it had.
	OldImage Kind = "old-image"
	// FailWrite: a write of a node's disk fails, and with it, sooner or later, the
	// node; it comes back after Length.
	FailWrite Kind = "fail-write"
	// FailSync: a sync of a node's disk fails and loses what it was to cover.
	FailSync Kind = "fail-sync"

	// Weather: the links of all, or of the target, are worse as Worse says.
	Weather Kind = "weather"
	// Isolate: a node is cut off from the other nodes, but not from clients.
	Isolate Kind = "isolate"
	// CutOff: a node is cut off from everyone.
	CutOff Kind = "cut-off"
	// OneWay: what a node sends to the other nodes is lost, not what they send; or
	// the other way round, where Inward is set.
	OneWay Kind = "one-way"
	// CutPair: two nodes are cut off from each other, but not from the third.
	CutPair Kind = "cut-pair"
	// Flap: a node's links to the other nodes come and go.
	Flap Kind = "flap"
	// CutClients: the clients are cut off from a node.
	CutClients Kind = "cut-clients"
	// CutClient: one client is cut off from a node.
	CutClient Kind = "cut-client"

	// Bridge: the other nodes are two halves that only the target sees both of; with
	// OneWay, the first half still hears the second.
	Bridge Kind = "bridge"
	// Ring: each node sees its neighbours only; with OneWay, each is still heard by
	// those before it.
	Ring Kind = "ring"

	// Drift: a node's monotonic clock runs at Strength thousandths of the true rate.
	Drift Kind = "drift"
	// Freeze: a node's monotonic clock stands still while its process goes on, then
	// jumps to where it would be.
	Freeze Kind = "freeze"
	// WallJump: a node's time of day is off by Strength milliseconds, forward or,
	// where Inward is set, back.
	WallJump Kind = "wall-jump"
	// ClientClock: a client's monotonic clock runs at Strength thousandths of the true
	// rate, and its time of day is off by as many hours as that is fast or slow.
	ClientClock Kind = "client-clock"

	// Malformed: Strength requests that no node may take are sent to a node.
	Malformed Kind = "malformed"
	// RogueProducer: a producer leaves gaps, repeats what was answered long ago, and
	// writes under an epoch that was replaced, in Strength steps.
	RogueProducer Kind = "rogue-producer"
	// RogueMember: a member of the consumer group beats late or not at all, gives partitions
	// up late or by word that was held up, and commits what is not its own, in Strength
	// steps.
	RogueMember Kind = "rogue-member"

	// Join: a new node joins the cluster.
	Join Kind = "join"
	// Move: a replica of a partition moves to a node that has none.
	Move Kind = "move"
	// Leave: a node gives its replicas to others and leaves the cluster.
	Leave Kind = "leave"
	// Elect: another replica of a partition is made its leader, to stay it; with a Strength
	// above 0 nobody is elected, and leaders are evened out again.
	Elect Kind = "elect"
	// RetainTime and RetainBytes: a topic's retention becomes Strength, 0 for none.
	RetainTime  Kind = "retain-time"
	RetainBytes Kind = "retain-bytes"
	// SegmentBytes and MessageBytes: the size of a topic's segments, and the bound of its
	// batches, becomes Strength; 0 for the default.
	SegmentBytes Kind = "segment-bytes"
	MessageBytes Kind = "message-bytes"
	// AddPartitions: a topic gets Strength more partitions.
	AddPartitions Kind = "add-partitions"
	// Permit: a user is made and an ACL for it; with a Strength of 1 the user is deleted
	// again, with 2 it gets another password and the ACL is deleted.
	Permit Kind = "permit"
)

// Kinds are all of them.
var Kinds = []Kind{
	Crash, CrashAll, Kill, Pause, SlowNode, Shutdown, CrashClient, SlowDisk, StallDisk, FullDisk,
	BitFlip, BadSector, Misdirect, StaleRead, LostSegment, LostDisk, JournalRot, LostJournal, OldImage, FailWrite, FailSync,
	Weather, Isolate, CutOff, OneWay, CutPair, Flap, CutClients, CutClient, Join, Move, Leave, Elect,
	CrashLoop, RollingRestart, Bridge, Ring, Drift, Freeze, WallJump, PauseClient, ClientClock,
	Malformed, RogueProducer, RogueMember, RetainTime, RetainBytes, SegmentBytes, MessageBytes, AddPartitions, Permit,
}

// Family that a kind belongs to.
func (k Kind) Family() string {
	switch k {
	case Crash, CrashAll, Kill, Pause, SlowNode, Shutdown, CrashClient, PauseClient, CrashLoop, RollingRestart:
		return "process"
	case SlowDisk, StallDisk, FullDisk, BitFlip, BadSector, Misdirect, StaleRead, LostSegment,
		LostDisk, JournalRot, LostJournal, OldImage, FailWrite, FailSync:
		return "disk"
	case Weather, Isolate, CutOff, OneWay, CutPair, Flap, CutClients, CutClient, Bridge, Ring:
		return "network"
	case Drift, Freeze, WallJump, ClientClock:
		return "clock"
	case Malformed, RogueProducer:
		return "load"
	case RogueMember:
		return "groups"
	case RetainTime, RetainBytes, SegmentBytes, MessageBytes, AddPartitions:
		return "topics"
	}
	return "membership"
}

// Moment is when, from its time on, a fault strikes.
type Moment string

// Moments.
const (
	// AtOnce is when the time has come.
	AtOnce Moment = ""
	// Syncing is when the target next asks its disk for a sync, and Delay after.
	Syncing Moment = "syncing"
	// Proposing is when the target next sends a follower new entries, and Delay
	// after.
	Proposing Moment = "proposing"
	// Asking is when the target next asks its followers whether it still leads, for
	// a read, and Delay after.
	Asking Moment = "asking"
	// Voting is when a node next gives its vote to a candidate, and Delay after; it
	// hits the voter.
	Voting Moment = "voting"
	// Elected is when a node next leads in a newer term, and Delay after; it hits the
	// new leader.
	Elected Moment = "elected"
	// Copying is when a node next begins to copy a snapshot, of any group, and Delay
	// after; it hits that node, if the target has no role.
	Copying Moment = "copying"
	// Mending is when a node next finds a damaged segment, of any group, and Delay after.
	Mending Moment = "mending"
)

// Role says whom a fault hits, found out when it strikes.
type Role string

// Roles.
const (
	// Leader and Follower of a partition; MetaLeader of the meta group.
	Leader     Role = "leader"
	Follower   Role = "follower"
	MetaLeader Role = "meta-leader"
)

// Target is a node by its number, from 1, or by its role.
type Target struct {
	Node      int    `json:"node,omitempty"`
	Role      Role   `json:"role,omitempty"`
	Topic     string `json:"topic,omitempty"`
	Partition int32  `json:"partition,omitempty"`
	// Nth of the followers, from 0.
	Nth int `json:"nth,omitempty"`
}

// Fault is one thing that goes wrong, or that an administrator does.
type Fault struct {
	// Number of the fault in the plan as it was generated. Its draws belong to the
	// number, so that they stay when other faults are taken out.
	Number int          `json:"number"`
	Kind   Kind         `json:"kind"`
	At     Milliseconds `json:"at_ms"`
	Length Milliseconds `json:"length_ms,omitempty"`
	Target Target       `json:"target,omitzero"`
	// Client that a fault of clients hits, from 0.
	Client int    `json:"client,omitempty"`
	Moment Moment `json:"moment,omitempty"`
	// Delay in microseconds from the moment on.
	Delay int64 `json:"delay_us,omitempty"`
	// Strength is a factor, or a number that the kind explains.
	Strength int64 `json:"strength,omitempty"`
	Inward   bool  `json:"inward,omitempty"`
	// OneWay: a bridge or a ring cuts what earlier sides send to later ones only.
	OneWay bool `json:"one_way,omitempty"`
	// Lose, Mix and Tear of a crash; see disk.Crash.
	Lose int64 `json:"lose,omitempty"`
	Mix  int64 `json:"mix,omitempty"`
	Tear int64 `json:"tear,omitempty"`
	// Worse weather.
	Worse netsim.Profile `json:"worse,omitzero"`
}
