package runner_test

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/broker/client/core/coretest"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/histories"
	"github.com/reprise-mq/reprise/sim/prng"
	"github.com/reprise-mq/reprise/workloads"
	"github.com/reprise-mq/reprise/workloads/runner"
)

// run is a whole workload on a make-believe cluster.
type run struct {
	world   *coretest.World
	history histories.History
	log     runner.Log
	runners []*runner.Runner
	running int
	read    bool
}

var small = workloads.Config{Clients: 4, Ops: 200, Length: 20_000_000_000, Topic: "log", Partitions: 3}

func start(seed uint64, ops []workloads.Op) *run {
	r := &run{world: coretest.NewWorld(seed, 3)}
	r.world.CreateTopic(small.Topic, small.Partitions)
	r.log = runner.Log{
		Recorder: histories.NewRecorder(r.history.Append),
		Now:      func() histories.Time { return histories.Time(r.world.Now()) },
	}
	for i := range small.Clients {
		var mine []workloads.Op
		for _, op := range ops {
			if op.Client == i {
				mine = append(mine, op)
			}
		}
		r.running++
		r.runners = append(r.runners, runner.New(runner.Config{
			Log: r.log, Ops: mine, Window: small.Window(i), Timeout: 5 * env.Second, Done: func() { r.running-- },
		}))
		r.begin(i, 0)
	}
	return r
}

// begin gives a runner a core, of its first or a later life.
func (r *run) begin(i, life int) {
	name := fmt.Sprint("client-", i, "-", life)
	host := r.world.NewHost(env.Endpoint(name))
	client := core.New(core.Config{Bootstrap: r.world.Endpoints()}, host, host, prng.New(prng.HashString(name)))
	host.Attach(client)
	r.runners[i].Start(client)
	client.Flush()
}

// end heals the world, waits for the runners, and reads all there is.
func (r *run) end(t *testing.T) {
	r.world.Faults = coretest.Faults{Delay: env.Millisecond}
	r.world.Run(r.world.Now() + 60*env.Second)
	if r.running > 0 {
		t.Fatalf("%d runners are still at work", r.running)
	}
	topics := []runner.Topic{{Name: small.Topic, Recorded: small.Topic, Partitions: small.Partitions}}
	for _, one := range r.runners {
		topics = append(topics, one.Topics()...)
	}
	host := r.world.NewHost("reader")
	client := core.New(core.Config{Bootstrap: r.world.Endpoints()}, host, host, prng.New(1))
	host.Attach(client)
	runner.NewReader(r.log, client, topics, func(complete bool) { r.read = complete }).Start()
	client.Flush()
	r.world.Run(r.world.Now() + 60*env.Second)
	if !r.read {
		t.Error("the final read is not complete")
	}
}

func faulty() coretest.Faults {
	return coretest.Faults{
		LoseRequest: 10, LoseAnswer: 10, LateAnswer: 10, Twice: 10, Break: 10, Refuse: 30, Doubt: 50, NoHint: 300,
		Delay: 5 * env.Millisecond,
	}
}

func TestRun(t *testing.T) {
	counts := map[histories.Op]map[histories.Kind]int{}
	for seed := range uint64(10) {
		r := start(seed, workloads.Generate(seed, small))
		if seed%2 == 1 {
			r.world.Faults = faulty()
		}
		r.world.Run(env.Second * env.Time(5+seed))
		if seed >= 5 {
			r.runners[seed%4].Crash()
			r.begin(int(seed%4), 1)
		}
		r.end(t)
		r.count(t, counts)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Log(counts)
	if counts[histories.Produce][histories.Info] == 0 || counts[histories.Fetch][histories.Fail] == 0 {
		t.Error("nothing went wrong")
	}
	for op := histories.Produce; op <= histories.InitProducer; op++ {
		if counts[op][histories.Ok] == 0 {
			t.Errorf("no %v succeeded", op)
		}
	}
}

// count holds the history to its rules and to what the final read saw.
func (r *run) count(t *testing.T, counts map[histories.Op]map[histories.Kind]int) {
	operations, err := r.history.Operations()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[histories.Value]int{}
	for _, o := range operations {
		if counts[o.Call.Op] == nil {
			counts[o.Call.Op] = map[histories.Kind]int{}
		}
		counts[o.Call.Op][o.Outcome]++
		if o.Completed == histories.Never {
			t.Errorf("process %d never ended its %v", o.Process, o.Call.Op)
		}
		if o.Call.Op != histories.Fetch || !o.Call.Final || o.Answer == nil {
			continue
		}
		for _, record := range o.Answer.Records {
			if seen[record.Value]++; record.Corrupt || seen[record.Value] > 1 {
				t.Errorf("value %d: seen %d times, corrupt %v", record.Value, seen[record.Value], record.Corrupt)
			}
		}
	}
	for _, o := range operations {
		if o.Call.Op != histories.Produce || o.Call.Topic != small.Topic {
			continue
		}
		log := r.world.Topic(small.Topic).Partitions[o.Call.Partition]
		for i, v := range o.Call.Values {
			trimmed := o.Outcome == histories.Ok && o.Answer.Offset+api.Offset(i) < log.Start
			if o.Outcome == histories.Ok && seen[v] != 1 && !trimmed || o.Outcome == histories.Fail && seen[v] > 0 {
				t.Errorf("value %d: %v, seen %d times", v, o.Outcome, seen[v])
			}
		}
	}
}

// The same seed leaves the same history, byte for byte.
func TestDeterminism(t *testing.T) {
	digest := func(seed uint64) uint64 {
		r := start(seed, workloads.Generate(seed, small))
		r.world.Faults = faulty()
		r.world.Run(30 * env.Second)
		r.end(t)
		var out bytes.Buffer
		if err := r.history.Write(&out); err != nil {
			t.Fatal(err)
		}
		h := fnv.New64()
		h.Write(out.Bytes())
		return h.Sum64()
	}
	for seed := range uint64(3) {
		if first, second := digest(seed), digest(seed); first != second {
			t.Errorf("seed %d: two runs differ", seed)
		}
	}
}
