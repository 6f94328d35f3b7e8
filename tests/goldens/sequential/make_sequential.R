# Golden boundaries and final analyses of group-sequential tests, from R's package rpact.
# Run in this folder: Rscript make_sequential.R
library(rpact)
options(digits = 15)

# Boundaries: two-sided alpha, planned information fractions.
types <- c(obrien_fleming = "asOF", pocock = "asP",
           classical_obrien_fleming = "OF", classical_pocock = "P")
plans <- list(c(0.2, 0.4, 0.6, 0.8, 1), c(0.25, 0.5, 0.75, 1), c(0.5, 1), c(0.3, 0.35, 0.9, 1),
              seq(0.1, 1, 0.1))
rows <- list()
for (name in names(types)) for (alpha in c(0.01, 0.05, 0.1)) for (plan in seq_along(plans)) {
  times <- plans[[plan]]
  design <- getDesignGroupSequential(sided = 2, alpha = alpha, typeOfDesign = types[[name]],
                                     informationRates = times, tolerance = 1e-10)
  for (k in seq_along(times)) {
    rows[[length(rows) + 1]] <- data.frame(
      spending = name, alpha, plan, look = k, time = times[k],
      boundary = design$criticalValues[k], spent = design$alphaSpent[k])
  }
}
write.csv(do.call(rbind, rows), "boundaries.csv", row.names = FALSE)

# Final analyses by the stage-wise ordering, one-sided (the upper boundary alone), means of one
# sample with a known standard deviation of 1.
rows <- list()
cases <- list(
  list(type = "asOF", times = c(0.25, 0.5, 0.75, 1), n = c(25, 25, 25), mean = c(0.1, 0.35, 0.4)),
  list(type = "asP", times = c(0.25, 0.5, 0.75, 1), n = c(25, 25), mean = c(0.2, 0.6)),
  list(type = "asP", times = c(0.25, 0.5, 0.75, 1), n = c(25), mean = c(0.55)),
  list(type = "asOF", times = c(0.5, 1), n = c(40, 40), mean = c(0.1, 0.15)),
  list(type = "OF", times = c(0.2, 0.4, 0.6, 0.8, 1), n = rep(30, 5),
       mean = c(0.3, 0.05, -0.1, 0.2, 0.1)))
for (i in seq_along(cases)) {
  case <- cases[[i]]
  design <- getDesignGroupSequential(sided = 1, alpha = 0.025, typeOfDesign = case$type,
                                     informationRates = case$times, tolerance = 1e-10)
  total <- cumsum(case$n)
  overall <- cumsum(case$n * case$mean) / total
  data <- getDataset(overallN = total, overallMeans = overall,
                     overallStDevs = rep(1, length(case$n)))
  found <- getAnalysisResults(design, data, normalApproximation = TRUE, directionUpper = TRUE)
  k <- length(case$n)
  rows[[i]] <- data.frame(
    case = i, type = case$type, times = paste(case$times, collapse = " "),
    statistics = paste(sprintf("%.12f", overall * sqrt(total)), collapse = " "),
    estimate = overall[k], std_error = 1 / sqrt(total[k]), final_stage = found$finalStage,
    p = found$finalPValues[k], low = found$finalConfidenceIntervalLowerBounds[k],
    high = found$finalConfidenceIntervalUpperBounds[k],
    median = found$medianUnbiasedEstimates[k])
}
write.csv(do.call(rbind, rows), "final_analyses.csv", row.names = FALSE)

# The one-sided boundaries of those analyses.
rows <- list()
for (case in cases) {
  design <- getDesignGroupSequential(sided = 1, alpha = 0.025, typeOfDesign = case$type,
                                     informationRates = case$times, tolerance = 1e-10)
  rows[[length(rows) + 1]] <- data.frame(
    spending = names(types)[types == case$type], looks = length(case$times),
    boundary = design$criticalValues)
}
write.csv(unique(do.call(rbind, rows)), "final_boundaries.csv", row.names = FALSE)
