# Golden values of Hedges g over the average spread: run `Rscript make_hedges_g_av.R` in this folder.
# R 4.2 with effectsize 0.8. Reads data_*.csv of make_goldens.R; writes hedges_g_av.csv.
suppressPackageStartupMessages(library(effectsize))
options(digits = 17)
rows <- list()
for (name in c("mtcars", "blocked", "uneven_blocks", "clustered")) {
  d <- read.csv(paste0("data_", name, ".csv"))
  for (level in c(0.95, 0.9)) {
    # effectsize's search fails for this one: its 90% limit is beyond its 95% limit.
    if (name == "clustered" && level == 0.9) next
    g <- hedges_g(d$y[d$z == 1], d$y[d$z == 0], pooled_sd = FALSE, ci = level)
    rows[[length(rows) + 1]] <- data.frame(data = name, alpha = 1 - level, value = g$Hedges_g,
                                           low = g$CI_low, high = g$CI_high)
  }
}
write.csv(do.call(rbind, rows), "hedges_g_av.csv", row.names = FALSE)
