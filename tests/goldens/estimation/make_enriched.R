# Golden values of the enriched estimator: run `Rscript make_enriched.R` here. R 4.2, survey 4.1.
# Differences within units, drawn by stratum from a pool. `finite`: svymean with strata and the
# finite population's correction. `two_phase`: the pool is itself a simple random sample; twophase()
# has its variance, exactly so where strata are large.
suppressMessages(library(survey))
options(digits = 17)
set.seed(20261101)
rows <- list(); data <- list()
keep <- function(case, exposed, others, sizes, N) {
  x <- c(exposed, others); h <- rep(c(1, 0), c(length(exposed), length(others)))
  d <- data.frame(case, x, h, pool = N, stratum = ifelse(h == 1, sizes[1], sizes[2]))
  data[[length(data) + 1]] <<- d
  m <- svymean(~x, svydesign(~1, strata = ~h, fpc = ~stratum, data = d))
  whole <- data.frame(h = rep(c(1, 0), sizes), x = NA, drawn = FALSE)
  for (s in 0:1) {
    i <- which(whole$h == s)[seq_len(sum(h == s))]
    whole$x[i] <- x[h == s]; whole$drawn[i] <- TRUE
  }
  whole$id <- seq_len(N)
  t <- svymean(~x, twophase(list(~id, ~id), strata = list(NULL, ~h), subset = ~drawn, data = whole,
                            method = "approx"))
  rows[[length(rows) + 1]] <<- data.frame(case, quantity = c("finite", "two_phase"),
    estimate = c(coef(m), coef(t)), std_error = c(SE(m), SE(t)))
}
keep("few", rexp(12), rnorm(20, .2), c(60, 940), 1000)
keep("many", rlnorm(80), rnorm(40, .1), c(600, 1400), 2000)
write.csv(do.call(rbind, rows), "enriched.csv", row.names = FALSE)
write.csv(do.call(rbind, data), "data_enriched.csv", row.names = FALSE)
