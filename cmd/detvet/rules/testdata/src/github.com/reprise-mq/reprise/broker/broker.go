// Package broker stands in the plan.
package broker
