package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/reprise-mq/reprise/workloads"
)

// ErrPlan: the text is no plan; what wraps it says why.
var ErrPlan = errors.New("not a plan")

// Encode writes a plan as JSON for people.
func Encode(p *Plan) []byte {
	b, err := json.MarshalIndent(p, "", " ")
	if err != nil {
		panic(fmt.Sprintf("plan: cannot be written: %v", err))
	}
	return append(b, '\n')
}

// Decode reads what Encode wrote, or someone by hand.
func Decode(b []byte) (*Plan, error) {
	p := &Plan{}
	if err := json.Unmarshal(b, p); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPlan, err)
	}
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPlan, err)
	}
	return p, nil
}

// Bounds of a plan, so that none written by hand takes a machine down.
const (
	maxNodes  = 9
	maxTime   = Milliseconds(24 * 60 * 60 * 1000)
	maxFaults = 10_000
	maxBytes  = 64 << 20
	maxFiles  = 64
	maxMillis = 60_000
	maxCount  = 1_000_000
	maxSize   = 1 << 20
	minRate   = 500 // of a clock that drifts
	maxRate   = 2_000
	maxLoop   = 100
)

func (p *Plan) check() error {
	switch {
	case p.Format != Format:
		return fmt.Errorf("format %d; this program reads format %d", p.Format, Format)
	case p.Nodes < 1 || p.Nodes > maxNodes:
		return fmt.Errorf("%d nodes; from 1 to %d are possible", p.Nodes, maxNodes)
	case p.Safety < 0 || p.Safety > maxTime || p.Liveness < 0 || p.Liveness > maxTime:
		return fmt.Errorf("safety_ms %d, liveness_ms %d; each is from 0 to %d", p.Safety, p.Liveness, maxTime)
	case len(p.Faults) > maxFaults:
		return fmt.Errorf("%d faults; at most %d are possible", len(p.Faults), maxFaults)
	case p.Workload.Clients < 1 || p.Workload.Partitions < 1 || p.Workload.Topic == "":
		return errors.New("the workload needs a client, a topic and a partition")
	case p.Workload.Kind != "" && !slices.Contains(workloads.Kinds, p.Workload.Kind):
		return fmt.Errorf("there is no workload %q; there are %q and %v", p.Workload.Kind, "", workloads.Kinds)
	}
	return errors.Join(p.checkFaults(), p.checkOperations(), p.Config.check())
}

func (p *Plan) checkFaults() error {
	for i := range p.Faults {
		f := &p.Faults[i]
		if f.At < 0 || f.Length < 0 || f.At+f.Length > maxTime || f.Strength < 0 || f.Delay < 0 || f.Client < 0 {
			return fmt.Errorf("fault %d (%s): times, delays, strengths and clients are not negative, and end within a day", i, f.Kind)
		}
		if err := f.Worse.Check(); err != nil {
			return fmt.Errorf("fault %d (%s): %w", i, f.Kind, err)
		}
		if !slices.Contains(Kinds, f.Kind) {
			return fmt.Errorf("fault %d: there is no kind %q; the kinds are %v", i, f.Kind, Kinds)
		}
		switch {
		case (f.Kind == Drift || f.Kind == ClientClock) && (f.Strength < minRate || f.Strength > maxRate):
			return fmt.Errorf("fault %d (%s): strength %d; a clock runs at %d to %d thousandths of the true rate", i, f.Kind, f.Strength, minRate, maxRate)
		case f.Kind == CrashLoop && f.Strength > maxLoop:
			return fmt.Errorf("fault %d (crash-loop): strength %d; at most %d crashes are possible", i, f.Strength, maxLoop)
		}
	}
	return nil
}

// actions are those that a client knows.
var actions = []workloads.Action{
	workloads.Produce, workloads.ProducePlain, workloads.ProduceNone, workloads.Poll, workloads.Reread,
	workloads.Tail, workloads.Beyond, workloads.Earliest, workloads.Latest, workloads.Trim, workloads.TrimAll,
	workloads.Create, workloads.Delete, workloads.Init, workloads.Renew, workloads.AtTime,
}

func (p *Plan) checkOperations() error {
	for i := range p.Operations {
		o := &p.Operations[i]
		switch {
		case !slices.Contains(actions, o.Action):
			return fmt.Errorf("operation %d: there is no action %q; the actions are %v", i, o.Action, actions)
		case o.Client < 0 || o.Client >= p.Workload.Clients || o.Number < 0 || o.At < 0:
			return fmt.Errorf("operation %d: client %d of %d, number %d, at %d: out of range", i, o.Client, p.Workload.Clients, o.Number, o.At)
		case o.Count < 0 || o.Count > maxCount || o.Size < 0 || o.Size > maxSize || o.Part < 0 || o.Wait < 0 || o.Partition < 0:
			return fmt.Errorf("operation %d: count %d, size %d, part %d, wait %d, partition %d: out of range",
				i, o.Count, o.Size, o.Part, o.Wait, o.Partition)
		case producing(o.Action) && (o.Count < 1 || o.Count > workloads.MaxRecords):
			return fmt.Errorf("operation %d: %d records; from 1 to %d are possible", i, o.Count, workloads.MaxRecords)
		}
	}
	return nil
}

func producing(a workloads.Action) bool {
	return a == workloads.Produce || a == workloads.ProducePlain || a == workloads.ProduceNone
}

// check holds what the nodes would panic at.
func (c *Config) check() error {
	const sector, least = 512, 3
	switch {
	case c.JournalFileBytes < sector || c.JournalFileBytes%sector != 0 || c.JournalFileBytes > maxBytes:
		return fmt.Errorf("journal_file_bytes %d: a multiple of %d up to %d is needed", c.JournalFileBytes, sector, maxBytes)
	case c.JournalFiles < least || c.JournalFiles > maxFiles:
		return fmt.Errorf("journal_files %d: from %d to %d are possible", c.JournalFiles, least, maxFiles)
	case c.SegmentBytes < 1 || c.SegmentBytes > maxBytes || c.CheckpointBytes < 1 || c.CheckpointBytes > maxBytes:
		return fmt.Errorf("segment_bytes %d, checkpoint_bytes %d: each is from 1 to %d", c.SegmentBytes, c.CheckpointBytes, maxBytes)
	case c.CopyBytes < 1 || c.CopyBytes > maxBytes:
		return fmt.Errorf("copy_bytes %d: it is from 1 to %d", c.CopyBytes, maxBytes)
	case c.CopyRate < 0 || c.CopyRate > maxBytes:
		return fmt.Errorf("copy_rate %d: it is from 0 to %d", c.CopyRate, maxBytes)
	case c.TickMillis < 1 || c.TickMillis > maxMillis || c.LateIn < 0 || c.LateMicros < 0 || c.LateMicros > maxMillis*1000:
		return fmt.Errorf("tick_ms %d, late_in %d, late_us %d: out of range", c.TickMillis, c.LateIn, c.LateMicros)
	case c.DiskFactor < 0 || c.DiskFactor > maxMillis:
		return fmt.Errorf("disk_factor %d: it is from 0 to %d", c.DiskFactor, maxMillis)
	}
	return c.Network.Check()
}
