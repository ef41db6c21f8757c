package main_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/histories"
)

// A consumer group of six processes over twelve partitions, whose members and nodes are
// killed, stopped and frozen under load. Every acknowledged record is processed, committed
// offsets never go back, and what is processed twice had been handed to a member that
// crashed, or was told that it is not sure of what it has. REPRISE_TEST_SECONDS=60 has the
// faults go on for a minute.
func TestRealGroup(t *testing.T) {
	const members, partitions, shortest = 6, 12, 10 * time.Second
	g := newGroupRun(t, "flock", members, partitions)
	faults := []func(){g.killMemberAndCoordinator, g.stopMember, g.freezeMember, g.killMembers, g.killMemberAndLeader}
	count := 0
	for lasts := testTime(t, shortest); count < len(faults) || time.Since(g.begun) < lasts; count++ {
		g.measure(faults[count%len(faults)])
	}
	g.load.stop()
	t.Logf("%d rounds of faults in %v of load", count, time.Since(g.begun).Round(time.Millisecond))
	g.drained()
	g.endMembers()
	g.judgeMembers()
	g.finalRead()
	g.recording.judge(t)
}

// testTime is how long a test's faults go on, at least: as the environment says, or the
// shortest.
func testTime(t *testing.T, shortest time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv("REPRISE_TEST_SECONDS")
	if text == "" {
		return shortest
	}
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds < 1 {
		t.Fatalf("REPRISE_TEST_SECONDS=%q is no number of seconds", text)
	}
	return time.Duration(seconds) * time.Second
}

// memberSession is short, so that a member that is killed is missed soon.
const memberSession = 2 * time.Second

// groupRun is a group at work.
type groupRun struct {
	*chaos
	group      string
	topicID    uint64
	partitions int
	folder     string
	// members are those at work, by their places in the group; lives are all there were.
	members []*life
	lives   []*life
	// onlooker asks how far the group has come, again and again.
	onlooker    *client.Client
	stopLooking func()
}

func newGroupRun(t *testing.T, group string, members, partitions int) *groupRun {
	t.Helper()
	c := newCluster(t, 3)
	const topic = "flow"
	c.command("topic", "create", topic, "--partitions", strconv.Itoa(partitions), "--replicas", "3")
	r := newRecording()
	g := &groupRun{
		chaos: &chaos{cluster: c, recording: r, topic: topic}, group: group,
		topicID: c.metadata(topic).Topics[0].Id, partitions: partitions, folder: t.TempDir(), members: make([]*life, members),
	}
	t.Cleanup(g.explainMembers)
	g.onlooker = c.newClient(client.Config{History: r.history})
	g.load = startLoad(c, r, loadPlan{topic: topic, producers: partitions, partitions: partitions, period: 20 * time.Millisecond})
	for place := range members {
		g.begin(place)
	}
	g.settled(time.Now(), members)
	g.lookOn()
	g.begun = time.Now()
	return g
}

// explainMembers shows what the members said, if the test failed.
func (g *groupRun) explainMembers() {
	const bytes = 2000
	if !g.t.Failed() {
		return
	}
	for i, l := range g.lives {
		text := l.printed()
		g.t.Logf("life %d of a member, crashed %t, said last:\n%s", i, l.crashed, text[max(0, len(text)-bytes):])
	}
}

// begin starts a member in a place of the group. The last one is a static member.
func (g *groupRun) begin(place int) {
	g.t.Helper()
	plan := memberPlan{Bootstrap: g.addresses(), Group: g.group, Topic: g.topic, Session: memberSession, Begun: g.recording.begun}
	if place == len(g.members)-1 {
		plan.Instance = "static"
	}
	g.members[place] = beginLife(g.t, g.folder, len(g.lives), plan)
	g.lives = append(g.lives, g.members[place])
}

// settled waits until the group has come beyond all that there is now, in every partition,
// and has so many members.
func (g *groupRun) settled(since time.Time, members int) {
	g.t.Helper()
	ends := g.ends()
	await(g.t, settleTime, "a group that reads all partitions", func() error { return g.reached(ends) })
	working := time.Since(since)
	await(g.t, settleTime, fmt.Sprintf("%d members", members), func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		d, err := g.client.DescribeGroup(ctx, g.group)
		if err == nil && len(d.Members) != members {
			err = fmt.Errorf("there are %d", len(d.Members))
		}
		return err
	})
	g.what += fmt.Sprintf("; all is read again after %d ms, and whole after %d ms", working.Milliseconds(), time.Since(since).Milliseconds())
}

// ends are one past the last records, by partition.
func (g *groupRun) ends() (list []int64) {
	g.t.Helper()
	for i := range g.partitions {
		await(g.t, settleTime, fmt.Sprintf("the end of partition %d", i), func() error {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			end, err := g.client.ListOffsets(ctx, g.topic, int32(i), api.OffsetSpec_LATEST)
			if err == nil {
				list = append(list, end)
			}
			return err
		})
	}
	return list
}

// reached says in which partition the group has not come to an end.
func (g *groupRun) reached(ends []int64) error {
	for i, end := range ends {
		at, err := g.committed(context.Background(), i)
		if err == nil && at < end {
			err = fmt.Errorf("partition %d: committed %d of %d", i, at, end)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// lookOn reads the committed offsets of all partitions until drained.
func (g *groupRun) lookOn() {
	ctx, stop := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	g.stopLooking = func() { stop(); ended.Wait() }
	g.t.Cleanup(g.stopLooking)
	ended.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			// That it fails is no matter: what is told has to be right.
			_, _ = g.committed(ctx, i%g.partitions)
			time.Sleep(10 * time.Millisecond)
		}
	})
}

// committed asks how far the group has come in a partition.
func (g *groupRun) committed(ctx context.Context, partition int) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, settleTime/2)
	defer cancel()
	list, err := g.onlooker.FetchOffsets(ctx, g.group, &api.GroupPartition{TopicId: g.topicID, Topic: g.topic, Partition: int32(partition)})
	if err != nil {
		return 0, err
	}
	return list[0].GetOffset(), nil
}

// coordinator is the node that has the group.
func (g *groupRun) coordinator() *node {
	g.t.Helper()
	shards := len(g.metadata(api.GroupsTopic).Topics[0].Partitions)
	return g.leader(api.GroupsTopic, int(api.GroupShard(g.group, shards)))
}

func (g *groupRun) killMemberAndCoordinator() {
	g.t.Helper()
	place := rand.IntN(len(g.members))
	g.members[place].crash()
	victim := g.coordinator()
	begun := time.Now()
	g.crash(victim)
	g.begin(place)
	g.what = fmt.Sprintf("kill -9 of member %d and of coordinator %d", place, victim.id)
	g.settled(begun, len(g.members))
}

func (g *groupRun) killMemberAndLeader() {
	g.t.Helper()
	place := rand.IntN(len(g.members))
	g.members[place].crash()
	g.begin(place)
	begun := time.Now()
	g.killLeader()
	g.what = fmt.Sprintf("kill -9 of member %d, %s", place, g.what)
	g.settled(begun, len(g.members))
}

// killMembers kills two, one of which is the static one.
func (g *groupRun) killMembers() {
	g.t.Helper()
	begun, static, other := time.Now(), len(g.members)-1, rand.IntN(len(g.members)-1)
	g.members[static].crash()
	g.members[other].crash()
	g.begin(static)
	g.begin(other)
	g.what = fmt.Sprintf("kill -9 of members %d and %d", static, other)
	g.settled(begun, len(g.members))
}

// stopMember has one leave in order, and another come.
func (g *groupRun) stopMember() {
	g.t.Helper()
	begun, place := time.Now(), rand.IntN(len(g.members)-1)
	if code := g.members[place].terminate(); code != 0 {
		g.t.Errorf("member %d ended with exit code %d after SIGTERM:\n%s", place, code, g.members[place].printed())
	}
	g.begin(place)
	g.what = fmt.Sprintf("clean stop of member %d", place)
	g.settled(begun, len(g.members))
}

// freezeMember stops the clock of a member for longer than its session.
func (g *groupRun) freezeMember() {
	g.t.Helper()
	begun, place := time.Now(), rand.IntN(len(g.members)-1)
	g.members[place].signal(syscall.SIGSTOP)
	g.settled(begun, len(g.members)-1)
	g.members[place].signal(syscall.SIGCONT)
	g.what = fmt.Sprintf("member %d frozen for %d ms", place, time.Since(begun).Milliseconds())
	g.settled(time.Now(), len(g.members))
}

// drained waits until the group has come to the end of every partition.
func (g *groupRun) drained() {
	g.t.Helper()
	g.stopLooking()
	begun := time.Now()
	ends := g.ends()
	await(g.t, settleTime, "the group has processed everything", func() error { return g.reached(ends) })
	g.t.Logf("the group has caught up %v after the load", time.Since(begun).Round(time.Millisecond))
}

// endMembers has every member leave, which leaves the static one in its group.
func (g *groupRun) endMembers() {
	g.t.Helper()
	begun := time.Now()
	defer func() { g.t.Logf("the members end in %v", time.Since(begun).Round(time.Millisecond)) }()
	for place, m := range g.members {
		if code := m.terminate(); code != 0 {
			g.t.Errorf("member %d ended with exit code %d after SIGTERM:\n%s", place, code, m.printed())
		}
	}
}

// finalRead reads every partition, and compares it with what producers were told.
func (g *groupRun) finalRead() {
	g.t.Helper()
	g.recording.final.Store(true)
	for i := range g.partitions {
		if err := g.load.holds(i, readAll(g.t, g.onlooker, g.topic, i)); err != nil {
			g.t.Errorf("partition %d: %v", i, err)
		}
	}
}

// judgeMembers adds the members' histories to the recording, and sees that everything was
// processed, and nothing twice without a reason.
func (g *groupRun) judgeMembers() {
	g.t.Helper()
	processed, shared := map[recordAt]histories.Value{}, newHandings()
	for _, l := range g.lives {
		h, err := l.history()
		if err != nil {
			g.t.Fatalf("%s: %v", filepath.Base(l.plan.Events), err)
		}
		g.recording.elsewhere = append(g.recording.elsewhere, h)
		shared.add(l, h)
		records, err := l.processed()
		if err != nil {
			g.t.Fatal(err)
		}
		for at, value := range records {
			processed[at] = value
		}
	}
	missing := 0
	for _, list := range g.load.acked {
		for _, a := range list {
			if value, ok := processed[recordAt{a.partition, a.offset}]; !ok || value != a.value {
				if missing++; missing <= 5 {
					g.t.Errorf("value %d at %d/%d is acknowledged and was not processed: there is %d (%t)", a.value, a.partition, a.offset, value, ok)
				}
			}
		}
	}
	shared.judge(g.t)
	g.t.Logf("%d lives of members processed %d records, %d of those acknowledged are missing; %v", len(g.lives), len(processed), missing, shared)
}
