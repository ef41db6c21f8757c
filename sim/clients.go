package sim

import (
	"fmt"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/trace"
	"github.com/reprise-mq/reprise/sim/plan"
	"github.com/reprise-mq/reprise/sim/world"
	"github.com/reprise-mq/reprise/workloads"
	"github.com/reprise-mq/reprise/workloads/runner"
)

// client is a machine with a client core, and the part of the workload that it
// carries out. The part outlives the core.
type client struct {
	run  *run
	host *world.Host
	// runner, or else member of the consumer group.
	runner *runner.Runner
	member *runner.Member
	// attempt is how long an attempt of its core waits for an answer.
	attempt env.Time
	done    bool
}

const (
	// patience is how long an operation of the workload may take.
	patience = 8 * env.Second
	// adminPatience is how long an administrator's call may.
	adminPatience = 10 * env.Second
	// An attempt of a patient client waits for its answer so long. One client in two
	// is hasty: it finds a new leader and writes there while others still ask the
	// one before, which may not know yet.
	patientAttempt = 2 * env.Second
	hastyAttempt   = 400 * env.Millisecond
)

func (r *run) clientHost(name string) *world.Host {
	return r.world.Host(env.Endpoint(name), world.Config{
		Client: true, Disk: speed(1),
		LateIn: r.plan.Config.LateIn, LateMax: env.Time(r.plan.Config.LateMicros) * env.Microsecond,
	})
}

// startCore begins a life of a client.
func (r *run) startCore(h *world.Host, attempt env.Time) {
	nodes := r.members()
	h.Start(func(p world.Place) env.Process {
		return core.New(core.Config{
			Bootstrap: nodes, AttemptTimeout: attempt, Codecs: codecs, Trace: func(e trace.Event) { r.counts.Marks[e.Name]++ },
		}, p.Clock, p.Network, p.Random)
	})
}

// log is where what clients see is kept.
func (r *run) log() runner.Log { return runner.Log{Recorder: r.recorder, Now: r.now} }

// addClients makes the clients of the plan; each begins in begin.
func (r *run) addClients() {
	w := &r.plan.Workload
	for i := range w.Clients {
		var ops []workloads.Op
		for _, op := range r.plan.Operations {
			if op.Client == i {
				ops = append(ops, op)
			}
		}
		c := &client{run: r, host: r.clientHost(fmt.Sprintf("c%d", i+1)), attempt: patientAttempt}
		if i%2 == 0 {
			c.attempt = hastyAttempt
		}
		c.runner = runner.New(runner.Config{
			Log: r.log(), Ops: ops, Window: w.Window(i), There: r.there, Timeout: patience, Done: func() { c.done = true },
		})
		r.clients = append(r.clients, c)
	}
	r.addMembers()
}

// there reports whether a topic has a partition.
func (r *run) there(topic string, p api.Partition) bool {
	return r.partition(plan.Target{Topic: topic, Partition: int32(p)}) != nil
}

// partitions is how many the topic has that all share.
func (r *run) partitions() int {
	t := r.oracle.Meta().TopicByName(r.plan.Workload.Topic)
	return len(t.Partitions)
}

// begin gives the client a core and lets it go on.
func (c *client) begin() {
	c.run.startCore(c.host, c.attempt)
	c.host.Do(func(p env.Process) {
		if c.member != nil {
			c.member.Start(p.(*core.Client))
			return
		}
		c.runner.Start(p.(*core.Client))
	})
}

// crash ends the client with what is under way.
func (c *client) crash() {
	c.host.Kill()
	if c.member != nil {
		c.member.Crash()
		return
	}
	c.runner.Crash()
}

// admin is who runs the cluster: a client of its own, whose calls no history has.
type admin struct {
	run  *run
	host *world.Host
}

func (r *run) addAdmin() *admin {
	a := &admin{run: r, host: r.clientHost("admin")}
	r.startCore(a.host, patientAttempt)
	return a
}

// do makes a call on the core.
func (a *admin) do(call func(*core.Client)) {
	a.host.Do(func(p env.Process) { call(p.(*core.Client)) })
}

// create makes a topic, however often it takes.
func (a *admin) create(w *workloads.Config, done func()) {
	q := &api.CreateTopicRequest{Name: w.Topic, Partitions: int32(w.Partitions), Configs: configs(w)}
	a.do(func(c *core.Client) {
		c.CreateTopic(q, adminPatience, func(result core.Result) {
			if result.Err == nil || result.Err.Code == api.Code_TOPIC_ALREADY_EXISTS {
				done()
				return
			}
			a.run.world.Agenda.After(env.Second, func() { a.create(w, done) })
		})
	})
}

// finalReads reads every partition there is, from its log start to its end, and has
// every client find each of them once more.
func (r *run) finalReads() {
	w := &r.plan.Workload
	topics := []runner.Topic{{Name: w.Topic, Recorded: w.Topic, Partitions: r.partitions()}}
	for _, c := range r.clients {
		if c.runner != nil {
			topics = append(topics, c.runner.Topics()...)
		}
	}
	if r.readers != nil {
		r.readers.ask() // what was committed is there still
	}
	searches := r.searches(topics)
	done, complete := false, false
	r.admin.do(func(c *core.Client) {
		runner.NewReader(r.log(), c, topics, func(all bool) { done, complete = true, all }).Start()
	})
	var lost string
	ok := r.until(r.liveness(), func() bool {
		lost = missed(searches)
		return done && r.pending == 0 && lost == ""
	})
	switch {
	case ok:
		r.counts.FinalRead = complete
	case r.plan.Unrestricted:
	case lost != "":
		r.fail(Stuck, "%d ms after the heal %s", r.plan.Liveness, lost)
	default:
		r.fail(Stuck, "the final reads are not done %d ms after the heal", r.plan.Liveness)
	}
}

// search is a client's look for the leader of a partition, on the core that went through
// all that happened: what it took for true then must not keep it from what is true now.
type search struct {
	client    *client
	topic     runner.Topic
	partition api.Partition
	found     bool
	why       *api.Error // of the last failure
}

// searches has every client look for every partition.
func (r *run) searches(topics []runner.Topic) (all []*search) {
	for _, c := range r.clients {
		for _, t := range topics {
			for p := range t.Partitions {
				s := &search{client: c, topic: t, partition: api.Partition(p)}
				all = append(all, s)
				c.host.Do(func(p env.Process) { s.look(p.(*core.Client)) })
			}
		}
	}
	return all
}

// look asks until a leader answers, if only that there is nothing for this client.
func (s *search) look(c *core.Client) {
	c.ListOffsets(s.topic.Name, s.partition, api.OffsetSpec_LATEST, adminPatience, func(result core.Result) {
		s.why = result.Err
		gone := result.Err.GetCode() == api.Code_UNKNOWN_TOPIC_OR_PARTITION
		if s.found = result.Err == nil || gone && s.topic.Lost || !gone && !result.Err.Code.Retriable(); !s.found {
			c.After(env.Second, func() { s.look(c) })
		}
	})
}

// missed says which partition a client does not find, "" if there is none.
func missed(all []*search) string {
	for _, s := range all {
		if !s.found {
			return fmt.Sprintf("client %s does not find %s-%d: %v", s.client.host.Name, s.topic.Recorded, s.partition, s.why)
		}
	}
	return ""
}

// liveness is how long things may take after the heal.
func (r *run) liveness() env.Time { return env.Time(r.plan.Liveness) * env.Millisecond }
