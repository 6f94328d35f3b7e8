# Golden values of HC3 standard errors and of block fixed effects: `Rscript make_hc3.R` here.
# R 4.2 with estimatr; reads the data_*.csv that make_goldens.R wrote.
suppressPackageStartupMessages(library(estimatr))
options(digits = 17)
mtcars <- read.csv("data_mtcars.csv"); blocked <- read.csv("data_blocked.csv")
npk <- read.csv("data_npk.csv")
rows <- list()
keep <- function(data, estimator, se_type, covariates, fit) {
  i <- match("z", fit$term)
  rows[[length(rows) + 1]] <<- data.frame(data, estimator, se_type, covariates,
    estimate = fit$coefficients[[i]], std_error = fit$std.error[[i]], df = fit$df[[i]],
    p_value = fit$p.value[[i]], conf_low = fit$conf.low[[i]], conf_high = fit$conf.high[[i]])
}
for (se in c("HC2", "HC3")) {
  keep("mtcars", "difference_in_means", se, "", lm_robust(y ~ z, mtcars, se_type = se))
  keep("mtcars", "ancova", se, "x w", lm_robust(y ~ z + x + w, mtcars, se_type = se))
  keep("mtcars", "lin", se, "x", lm_lin(y ~ z, ~ x, mtcars, se_type = se))
  keep("npk", "fixed_effects", se, "", lm_robust(y ~ z + factor(block), npk, se_type = se))
  keep("blocked", "fixed_effects", se, "", lm_robust(y ~ z + factor(block), blocked, se_type = se))
  keep("blocked", "fixed_effects", se, "x", lm_robust(y ~ z + x + factor(block), blocked, se_type = se))
}
write.csv(do.call(rbind, rows), "hc3.csv", row.names = FALSE)
