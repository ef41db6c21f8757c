// Package sim stands in the plan.
package sim
