// Package disk stands in the plan.
package disk
